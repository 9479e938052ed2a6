from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from torch import nn

from runtime.diffusion.detect import detect
from runtime.diffusion.family import Family
from runtime.diffusion.unet import UNet, file_name
from runtime.diffusion.unet_spec import TransformerSpec
from runtime.errors import ModelCorrupt

Shapes = dict[str, tuple[int, ...]]

PREFIX = "model.diffusion_model."

# The real checkpoints, as their published configurations have them; `depths` per level, from full resolution down.
SD15: dict[str, Any] = {"width": 320, "mult": (1, 2, 4, 4), "depths": (1, 1, 1, 0), "context": 768}
SD21: dict[str, Any] = {**SD15, "context": 1024, "linear": True}
SDXL: dict[str, Any] = {
    "width": 320,
    "mult": (1, 2, 4),
    "depths": (0, 2, 10),
    "middle": 10,
    "context": 2048,
    "linear": True,
    "adm": 2816,
}
REFINER: dict[str, Any] = {
    "width": 384,
    "mult": (1, 2, 4, 4),
    "depths": (0, 4, 4, 0),
    "middle": 4,
    "context": 1280,
    "linear": True,
    "adm": 2560,
}


class ShapeTable:
    """The names and shapes of a UNet's tensors, written down the way that the first implementation numbers them."""

    def __init__(self, width: int, context: int, linear: bool) -> None:
        self.shapes: Shapes = {}
        self._width, self._context, self._linear = width, context, linear

    def layer(self, path: str, *shape: int, bias: bool = True) -> None:
        self.shapes[f"{PREFIX}{path}.weight"] = shape
        if bias:
            self.shapes[f"{PREFIX}{path}.bias"] = shape[:1]

    def residual(self, path: str, channels_in: int, channels_out: int) -> None:
        self.layer(f"{path}.in_layers.0", channels_in)
        self.layer(f"{path}.in_layers.2", channels_out, channels_in, 3, 3)
        self.layer(f"{path}.emb_layers.1", channels_out, 4 * self._width)
        self.layer(f"{path}.out_layers.0", channels_out)
        self.layer(f"{path}.out_layers.3", channels_out, channels_out, 3, 3)
        if channels_in != channels_out:
            self.layer(f"{path}.skip_connection", channels_out, channels_in, 1, 1)

    def transformer(self, path: str, channels: int, depth: int) -> None:
        kernel = () if self._linear else (1, 1)
        self.layer(f"{path}.norm", channels)
        self.layer(f"{path}.proj_in", channels, channels, *kernel)
        self.layer(f"{path}.proj_out", channels, channels, *kernel)
        for index in range(depth):
            self._block(f"{path}.transformer_blocks.{index}", channels)

    def _block(self, path: str, channels: int) -> None:
        for norm in ("norm1", "norm2", "norm3"):
            self.layer(f"{path}.{norm}", channels)
        for attention, reads in (("attn1", channels), ("attn2", self._context)):
            self.layer(f"{path}.{attention}.to_q", channels, channels, bias=False)
            self.layer(f"{path}.{attention}.to_k", channels, reads, bias=False)
            self.layer(f"{path}.{attention}.to_v", channels, reads, bias=False)
            self.layer(f"{path}.{attention}.to_out.0", channels, channels)
        self.layer(f"{path}.ff.net.0.proj", 8 * channels, channels)
        self.layer(f"{path}.ff.net.2", channels, 4 * channels)


def unet_shapes(
    *,
    width: int,
    mult: Sequence[int],
    depths: Sequence[int],
    context: int,
    middle: int = 1,
    linear: bool = False,
    adm: int | None = None,
    channels_in: int = 4,
) -> Shapes:
    table = ShapeTable(width, context, linear)
    table.layer("time_embed.0", 4 * width, width)
    table.layer("time_embed.2", 4 * width, 4 * width)
    if adm is not None:
        table.layer("label_emb.0.0", 4 * width, adm)
        table.layer("label_emb.0.2", 4 * width, 4 * width)
    table.layer("input_blocks.0.0", width, channels_in, 3, 3)
    table.layer("out.0", width)
    table.layer("out.2", 4, width, 3, 3)
    channels = _down(table, skips := [width], [width * each for each in mult], depths)
    table.residual("middle_block.0", channels, channels)
    table.transformer("middle_block.1", channels, middle)
    table.residual("middle_block.2", channels, channels)
    _up(table, skips, channels, [width * each for each in mult], depths)
    return table.shapes


def _down(table: ShapeTable, skips: list[int], widths: Sequence[int], depths: Sequence[int]) -> int:
    channels = skips[0]
    for level, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for _ in range(2):
            table.residual(f"input_blocks.{len(skips)}.0", channels, width)
            if depth:
                table.transformer(f"input_blocks.{len(skips)}.1", width, depth)
            skips.append(channels := width)
        if level < len(widths) - 1:
            table.layer(f"input_blocks.{len(skips)}.0.op", channels, channels, 3, 3)
            skips.append(channels)
    return channels


def _up(table: ShapeTable, skips: list[int], channels: int, widths: Sequence[int], depths: Sequence[int]) -> None:
    index = 0
    for level in reversed(range(len(widths))):
        for number in range(3):
            path = f"output_blocks.{index}"
            table.residual(f"{path}.0", channels + skips.pop(), widths[level])
            if depths[level]:
                table.transformer(f"{path}.1", widths[level], depths[level])
            channels = widths[level]
            if number == 2 and level > 0:
                table.layer(f"{path}.{2 if depths[level] else 1}.conv", channels, channels, 3, 3)
            index += 1


@pytest.mark.parametrize(
    ("config", "family", "parameters"),
    [
        pytest.param(SD15, Family.SD1, 859_520_964, id="SD 1.5"),
        pytest.param({**SD15, "channels_in": 9}, Family.SD1_INPAINT, 859_535_364, id="SD 1.5 inpainting"),
        pytest.param(SD21, Family.SD2, 865_910_724, id="SD 2.1"),
        pytest.param({**SD21, "channels_in": 9}, Family.SD2_INPAINT, 865_925_124, id="SD 2 inpainting"),
        pytest.param(SDXL, Family.SDXL, 2_567_463_684, id="SDXL base"),
        pytest.param({**SDXL, "channels_in": 9}, Family.SDXL_INPAINT, 2_567_478_084, id="SDXL inpainting"),
        pytest.param(REFINER, Family.SDXL_REFINER, None, id="SDXL refiner"),
    ],
)
def test_a_real_checkpoint_is_told_by_its_shapes_and_built_of_their_sizes(
    config: dict[str, Any], family: Family, parameters: int | None
) -> None:
    shapes = unet_shapes(**config)
    layout = detect(shapes)
    built = _shapes_of(UNet(layout.unet))
    assert layout.family is family
    assert {name: _flat(shape) for name, shape in built.items()} == {n: _flat(s) for n, s in shapes.items()}
    assert parameters in (None, sum(torch.Size(shape).numel() for shape in built.values()))


def _shapes_of(unet: nn.Module) -> Shapes:
    return {PREFIX + file_name(name): tuple(weight.shape) for name, weight in unet.named_parameters()}


def _flat(shape: tuple[int, ...]) -> tuple[int, ...]:
    return shape[:2] if shape[2:] == (1, 1) else shape


def test_a_real_unet_is_described_without_memory_for_its_weights() -> None:
    unet = UNet(detect(unet_shapes(**SDXL)).unet)
    assert all(weight.is_meta for weight in unet.parameters())


@pytest.mark.parametrize(
    ("config", "heads"),
    [
        pytest.param(SD15, {320: 8, 640: 8, 1280: 8}, id="SD 1.5: eight at every level"),
        pytest.param(SD21, {320: 5, 640: 10, 1280: 20}, id="SD 2.1: 64 channels each"),
        pytest.param(SDXL, {640: 10, 1280: 20}, id="SDXL: 64 channels each"),
    ],
)
def test_heads_follow_the_rule_of_the_family(config: dict[str, Any], heads: dict[int, int]) -> None:
    spec = detect(unet_shapes(**config)).unet
    layers = [layer for block in spec.input_blocks for layer in block]
    assert {
        each.channels: spec.heads_of(each.channels) for each in layers if isinstance(each, TransformerSpec)
    } == heads


def test_a_unet_alone_is_told_without_the_checkpoints_prefix() -> None:
    shapes = {name.removeprefix(PREFIX): shape for name, shape in unet_shapes(**SDXL).items()}
    layout = detect(shapes)
    assert layout.family is Family.SDXL
    assert layout.unet_prefix == ""


def test_a_distilled_sdxl_with_fewer_layers_is_sdxl() -> None:
    layout = detect(unet_shapes(**{**SDXL, "depths": (0, 1, 2), "middle": 1}))
    assert layout.family is Family.SDXL


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        pytest.param(["model.diffusion_model.double_blocks.0.img_attn.qkv.weight"], "Flux", id="flux"),
        pytest.param(["model.diffusion_model.joint_blocks.0.x_block.attn.qkv.weight"], "Diffusion 3", id="sd3"),
        pytest.param(["lora_unet_down_blocks_0_attentions_0_proj_in.lora_up.weight"], "LoRA", id="lora"),
        pytest.param(["unet.down_blocks.0.to_q.lora_A.weight"], "LoRA", id="peft lora"),
        pytest.param(["control_model.input_blocks.0.0.weight"], "ControlNet", id="controlnet"),
        pytest.param(["down_blocks.0.resnets.0.conv1.weight"], "diffusers", id="diffusers"),
        pytest.param(["decoder.conv_in.weight", "encoder.conv_in.weight"], "a VAE", id="vae"),
        pytest.param(["text_model.embeddings.token_embedding.weight"], "text encoder", id="clip"),
        pytest.param(["blocks.0.weight", "head.bias"], r"one of 2 tensors such as blocks\.0\.weight", id="anything"),
        pytest.param([], "none", id="nothing"),
    ],
)
def test_a_foreign_file_is_told_what_was_looked_for_and_what_it_looks_like(names: list[str], kind: str) -> None:
    with pytest.raises(ModelCorrupt, match=rf"input_blocks\.0\.0\.weight.*{kind}"):
        detect(dict.fromkeys(names, (8, 8)))


@pytest.mark.parametrize(
    ("extra", "config", "kind"),
    [
        pytest.param({}, {"channels_in": 8}, "8 channels", id="instruct-pix2pix"),
        pytest.param({}, {"channels_in": 5}, "5 channels", id="depth"),
        pytest.param({}, {"adm": 1536}, "unCLIP", id="unclip"),
        pytest.param({"input_blocks.1.1.time_stack.0.norm1.weight": (320,)}, {}, "video", id="video"),
        pytest.param({"zero_convs.0.0.weight": (320, 320, 1, 1)}, {}, "ControlNet", id="control net"),
    ],
)
def test_a_relative_that_needs_more_is_refused_by_name(extra: Shapes, config: dict[str, Any], kind: str) -> None:
    shapes = unet_shapes(**{**SD21, **config}) | {PREFIX + name: shape for name, shape in extra.items()}
    with pytest.raises(ModelCorrupt, match=kind):
        detect(shapes)


@pytest.mark.parametrize(
    ("name", "shape", "fault"),
    [
        pytest.param("input_blocks.4.0.in_layers.2.weight", (640, 300, 3, 3), "reads 300 channels", id="broken flow"),
        pytest.param("input_blocks.0.0.weight", (320,), "expected a layer's weight", id="too few axes"),
        pytest.param("input_blocks.0.0.weight", (0, 4, 3, 3), "expected a layer's weight", id="no channels"),
        pytest.param("input_blocks.0.0.weight", (321, 4, 3, 3), "321", id="odd width"),
        pytest.param("out.2.weight", None, r"out\.2\.weight", id="no output"),
        pytest.param("output_blocks.11.0.in_layers.2.weight", None, r"output_blocks\.11", id="no last block"),
        pytest.param("middle_block.1.transformer_blocks.0.attn2.to_k.weight", None, "attn2", id="no context"),
    ],
)
def test_a_unet_whose_sizes_do_not_fit_is_refused_by_the_layers_name(
    name: str, shape: tuple[int, ...] | None, fault: str
) -> None:
    shapes = unet_shapes(**SD15)
    del shapes[PREFIX + name]
    if shape is not None:
        shapes[PREFIX + name] = shape
    with pytest.raises(ModelCorrupt, match=fault):
        detect(shapes)


def test_blocks_without_counterparts_are_refused() -> None:
    shapes = {name: shape for name, shape in unet_shapes(**SD15).items() if "output_blocks.11." not in name}
    with pytest.raises(ModelCorrupt, match="12 input blocks, but 11 output blocks"):
        detect(shapes)
