from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.diffusion.control_names import plain_names
from runtime.diffusion.control_net import ControlSpec, control_spec
from runtime.diffusion.family import Family
from runtime.diffusion.shape_tree import Shapes, ShapeTree
from runtime.errors import ModelCorrupt

SHAPES = json.loads((Path(__file__).parents[1] / "parity" / "shapes.json").read_text())

# The first implementation's name -> diffusers', as diffusers' own conversion has them for SD 1.x.
PAIRS = {
    "input_blocks.0.0.weight": "conv_in.weight",
    "time_embed.0.weight": "time_embedding.linear_1.weight",
    "time_embed.2.bias": "time_embedding.linear_2.bias",
    "input_blocks.1.0.in_layers.0.weight": "down_blocks.0.resnets.0.norm1.weight",
    "input_blocks.1.0.in_layers.2.bias": "down_blocks.0.resnets.0.conv1.bias",
    "input_blocks.1.0.emb_layers.1.weight": "down_blocks.0.resnets.0.time_emb_proj.weight",
    "input_blocks.2.0.out_layers.0.weight": "down_blocks.0.resnets.1.norm2.weight",
    "input_blocks.2.0.out_layers.3.weight": "down_blocks.0.resnets.1.conv2.weight",
    "input_blocks.2.1.proj_in.weight": "down_blocks.0.attentions.1.proj_in.weight",
    "input_blocks.2.1.transformer_blocks.0.attn1.to_out.0.weight": (
        "down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_out.0.weight"
    ),
    "input_blocks.3.0.op.weight": "down_blocks.0.downsamplers.0.conv.weight",
    "input_blocks.4.0.skip_connection.weight": "down_blocks.1.resnets.0.conv_shortcut.weight",
    "input_blocks.9.0.op.bias": "down_blocks.2.downsamplers.0.conv.bias",
    "input_blocks.10.0.in_layers.0.bias": "down_blocks.3.resnets.0.norm1.bias",
    "input_blocks.11.0.in_layers.0.bias": "down_blocks.3.resnets.1.norm1.bias",
    "middle_block.0.in_layers.2.weight": "mid_block.resnets.0.conv1.weight",
    "middle_block.1.norm.weight": "mid_block.attentions.0.norm.weight",
    "middle_block.2.out_layers.3.bias": "mid_block.resnets.1.conv2.bias",
    "middle_block_out.0.weight": "controlnet_mid_block.weight",
    "input_hint_block.0.weight": "controlnet_cond_embedding.conv_in.weight",
    "input_hint_block.2.weight": "controlnet_cond_embedding.blocks.0.weight",
    "input_hint_block.12.weight": "controlnet_cond_embedding.blocks.5.weight",
    "input_hint_block.14.bias": "controlnet_cond_embedding.conv_out.bias",
    "zero_convs.11.0.weight": "controlnet_down_blocks.11.weight",
}
FOR_ALL = (
    *(f"down_blocks.{level}.resnets.{number}.norm1.weight" for level in range(4) for number in range(2)),
    *(f"down_blocks.{level}.downsamplers.0.conv.weight" for level in range(3)),
    *(f"controlnet_cond_embedding.blocks.{number}.weight" for number in range(6)),
)


def shapes(name: str) -> dict[str, tuple[int, ...]]:
    return {tensor: tuple(shape) for tensor, shape in SHAPES[name].items()}


def spec_of(found: Shapes) -> ControlSpec:
    return control_spec(ShapeTree({name: found[stored] for name, stored in plain_names(found).items()}))


@pytest.mark.parametrize("plain", PAIRS)
def test_diffusers_names_are_those_of_the_first_implementation(plain: str) -> None:
    assert plain_names({*FOR_ALL, *PAIRS.values()})[plain] == PAIRS[plain]


def test_names_behind_a_prefix_lose_it_and_what_is_beside_is_left_out() -> None:
    stored = ["control_model.zero_convs.0.0.weight", "first_stage_model.x"]
    assert plain_names(stored) == {"zero_convs.0.0.weight": stored[0]}


@pytest.mark.parametrize(
    ("name", "family", "channels"),
    [("control_sd1_mini", Family.SD1, 32), ("control_sdxl_mini", Family.SDXL, 32)],
)
def test_the_sizes_are_read_from_the_shapes(name: str, family: Family, channels: int) -> None:
    spec = spec_of(shapes(name))
    assert spec.family is family
    assert spec.hint_channels == (3, 16, 16, 32, 32, 96, 96, 256, channels)
    assert spec.kinds == 0
    assert spec.encoder.output_blocks == ()


def test_what_is_no_control_net_is_refused_with_what_it_has() -> None:
    with pytest.raises(ModelCorrupt, match=r"no ControlNet of a known form: .* but it has controlnet_blocks"):
        spec_of({"controlnet_blocks.0.weight": (4, 4)})


def test_a_hint_of_another_width_is_refused() -> None:
    with pytest.raises(ModelCorrupt, match="makes 48 channels of its picture, expected 32"):
        spec_of(shapes("control_sdxl_mini") | {"input_hint_block.14.weight": (48, 256, 3, 3)})


def test_hint_layers_that_do_not_follow_one_another_are_refused() -> None:
    with pytest.raises(ModelCorrupt, match=r"input_hint_block\.4\.weight reads 99 channels, but gets 16"):
        spec_of(shapes("control_sdxl_mini") | {"input_hint_block.4.weight": (32, 99, 3, 3)})


def test_one_of_an_inpainting_model_is_refused() -> None:
    with pytest.raises(ModelCorrupt, match="reads 9 channels of a latent, expected 4"):
        spec_of(shapes("control_sdxl_mini") | {"input_blocks.0.0.weight": (32, 9, 3, 3)})
