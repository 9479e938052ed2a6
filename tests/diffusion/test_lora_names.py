from __future__ import annotations

from pathlib import Path

import pytest
import torch

from runtime.diffusion.checkpoint import load_checkpoint
from runtime.diffusion.lora_names import clip_layers, unet_layers
from runtime.diffusion.unet import UNet


def _unet(models: Path, name: str) -> UNet:
    return load_checkpoint(models / "checkpoints" / f"{name}.safetensors", device=torch.device("cpu")).model.unet


@pytest.fixture(scope="module")
def sd1(mini_models: Path) -> dict[str, str]:
    return unet_layers(_unet(mini_models, "sd1_mini"))


@pytest.fixture(scope="module")
def sdxl(mini_models: Path) -> dict[str, str]:
    return unet_layers(_unet(mini_models, "sdxl_mini"))


# Names in published LoRAs, and where the original implementation has these layers.
@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        (
            "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q",
            "input_blocks.1.1.transformer_blocks.0.attn1.to_q.weight",
        ),
        (
            "lora_unet_down_blocks_2_attentions_1_transformer_blocks_0_ff_net_0_proj",
            "input_blocks.8.1.transformer_blocks.0.ff.widen.weight",
        ),
        (
            "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_out_0",
            "middle_block.1.transformer_blocks.0.attn2.to_out.weight",
        ),
        ("lora_unet_up_blocks_3_attentions_2_proj_out", "output_blocks.11.1.proj_out.weight"),
        ("lora_unet_up_blocks_1_attentions_0_proj_in", "output_blocks.3.1.proj_in.weight"),
        ("lora_unet_down_blocks_0_resnets_1_conv1", "input_blocks.2.0.enter_conv.weight"),
        ("lora_unet_down_blocks_3_resnets_1_time_emb_proj", "input_blocks.11.0.time_shift.weight"),
        ("lora_unet_mid_block_resnets_1_conv2", "middle_block.2.leave_conv.weight"),
        ("lora_unet_up_blocks_0_upsamplers_0_conv", "output_blocks.2.1.conv.weight"),
        ("lora_unet_up_blocks_1_upsamplers_0_conv", "output_blocks.5.2.conv.weight"),
        ("lora_unet_down_blocks_1_downsamplers_0_conv", "input_blocks.6.0.op.weight"),
        ("lora_unet_up_blocks_2_resnets_0_conv_shortcut", "output_blocks.6.0.skip.weight"),
        ("lora_unet_conv_in", "input_blocks.0.0.weight"),
        ("lora_unet_time_embedding_linear_2", "time_out.weight"),
        ("lora_unet_input_blocks_4_1_proj_in", "input_blocks.4.1.proj_in.weight"),
        ("diffusion_model.output_blocks.0.0.in_layers.2", "output_blocks.0.0.enter_conv.weight"),
        (
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0",
            "input_blocks.1.1.transformer_blocks.0.attn1.to_out.weight",
        ),
        (
            "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.processor.to_out",
            "input_blocks.1.1.transformer_blocks.0.attn1.to_out.weight",
        ),
    ],
)
def test_a_layer_of_sd1_is_found_by_the_name_that_its_trainer_gave_it(
    sd1: dict[str, str], name: str, parameter: str
) -> None:
    assert sd1[name] == parameter


@pytest.mark.parametrize(
    ("name", "parameter"),
    [
        (
            "lora_unet_input_blocks_4_1_transformer_blocks_0_attn1_to_k",
            "input_blocks.4.1.transformer_blocks.0.attn1.to_k.weight",
        ),
        (
            "lora_unet_down_blocks_2_attentions_1_transformer_blocks_1_attn2_to_v",
            "input_blocks.8.1.transformer_blocks.1.attn2.to_v.weight",
        ),
        ("lora_unet_up_blocks_0_attentions_2_proj_in", "output_blocks.2.1.proj_in.weight"),
        ("lora_unet_add_embedding_linear_1", "adm_in.weight"),
    ],
)
def test_a_layer_of_sdxl_is_found_by_the_name_that_its_trainer_gave_it(
    sdxl: dict[str, str], name: str, parameter: str
) -> None:
    assert sdxl[name] == parameter


def test_every_weight_of_a_unet_has_a_name(mini_models: Path) -> None:
    unet = _unet(mini_models, "sdxl_mini")
    weights = {name for name, _ in unet.named_parameters() if name.endswith(".weight")}
    assert set(unet_layers(unet).values()) == weights


class Encoder(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.ModuleList(
            [torch.nn.ModuleDict({"mlp": torch.nn.ModuleDict({"fc1": torch.nn.Linear(2, 2)})})]
        )
        self.final_layer_norm = torch.nn.LayerNorm(2)


FC1 = "text_model.layers.0.mlp.fc1"
FLAT_FC1 = "text_model_layers_0_mlp_fc1"


@pytest.mark.parametrize(
    ("number", "names"),
    [
        (1, {f"lora_te_{FLAT_FC1}", f"lora_te1_{FLAT_FC1}", f"text_encoder.{FC1}"}),
        (2, {f"lora_te2_{FLAT_FC1}", f"text_encoder_2.{FC1}"}),
    ],
)
def test_a_text_encoder_is_told_by_its_number_and_the_first_needs_none(number: int, names: set[str]) -> None:
    layers = clip_layers(Encoder(), key="clip_l", number=number)
    assert names <= set(layers)
    assert {layers[name] for name in names} == {"layers.0.mlp.fc1.weight"}
    assert (f"lora_te_{FLAT_FC1}" in layers) is (number == 1)


def test_a_norm_of_a_text_encoder_has_the_checkpoints_name_alone() -> None:
    layers = clip_layers(Encoder(), key="clip_l", number=1)
    names = [name for name, parameter in layers.items() if parameter == "final_layer_norm.weight"]
    assert names == ["text_encoders.clip_l.transformer.text_model.final_layer_norm"]


def test_the_text_projection_stands_beside_the_text_model() -> None:
    model = torch.nn.Module()
    model.text_projection = torch.nn.Linear(2, 2)
    layers = clip_layers(model, key="clip_g", number=2)
    assert "text_encoders.clip_g.transformer.text_projection" in layers
    assert layers["lora_te2_text_projection"] == "text_projection.weight"
