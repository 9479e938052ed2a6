from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from runtime.build import build_native
from runtime.graph.workflow import parse_workflow
from runtime.settings import Settings

FLUX = {"model.diffusion_model.double_blocks.0.img_attn.qkv.weight": torch.zeros(2, 2)}
VIDEO_VAE = {"decoder.conv_in.conv.weight": torch.zeros(2, 2, 3, 3, 3)}
SWIN = {"layers.0.residual_group.blocks.0.norm1.weight": torch.zeros(60)}


@pytest.fixture
def models(mini_models: Path, tmp_path: Path) -> Path:
    for kind in ("checkpoints", "controlnet", "loras", "vae", "upscale_models"):
        (tmp_path / kind).mkdir()
        for path in (mini_models / kind).iterdir():
            (tmp_path / kind / path.name).symlink_to(path)
    save_file(FLUX, tmp_path / "checkpoints" / "flux.safetensors")
    save_file(VIDEO_VAE, tmp_path / "vae" / "video.safetensors")
    save_file({"lora_controlnet": torch.zeros(0)}, tmp_path / "controlnet" / "lora.safetensors")
    torch.save({"params_ema": SWIN}, tmp_path / "upscale_models" / "swinir.pth")
    save_file({"lora_unet_conv_in.oft_blocks": torch.zeros(2, 2, 2)}, tmp_path / "loras" / "oft.safetensors")
    return tmp_path


def lacks(models: Path, class_type: str, **inputs: Any) -> list[str]:
    engine = build_native(Settings(models_path=models, device="cpu"))
    return list(engine.lacks(parse_workflow({"1": {"class_type": class_type, "inputs": inputs}})))


def test_a_checkpoint_of_a_family_that_runs_here_is_no_lack(models: Path) -> None:
    for path in sorted((models / "checkpoints").glob("s*_mini.safetensors")):
        assert lacks(models, "CheckpointLoaderSimple", ckpt_name=path.name) == []


def test_a_checkpoint_of_another_family_is_named_with_what_it_looks_like(models: Path) -> None:
    (line,) = lacks(models, "CheckpointLoaderSimple", ckpt_name="flux.safetensors")
    assert line.startswith("the model flux.safetensors: ")
    assert "a Flux or Hunyuan transformer" in line


def test_a_vae_is_looked_into_too(models: Path) -> None:
    assert lacks(models, "VAELoader", vae_name="vae_mini.safetensors") == []
    assert lacks(models, "VAELoader", vae_name="video.safetensors") != []


def test_an_upscale_model_is_looked_into_although_it_is_a_pickle(models: Path) -> None:
    assert lacks(models, "UpscaleModelLoader", model_name="esrgan_old_mini.safetensors") == []
    (line,) = lacks(models, "UpscaleModelLoader", model_name="swinir.pth")
    assert "no upscale model of a known architecture" in line


def test_a_control_net_is_looked_into(models: Path) -> None:
    assert lacks(models, "ControlNetLoader", control_net_name="control_sd1_mini.safetensors") == []
    (line,) = lacks(models, "ControlNetLoader", control_net_name="lora.safetensors")
    assert "a Control-LoRA" in line


def test_a_lora_of_a_kind_that_is_not_here_is_named(models: Path) -> None:
    assert lacks(models, "LoraLoaderModelOnly", lora_name="sd1_lycoris_mini.safetensors") == []
    (line,) = lacks(models, "LoraLoaderModelOnly", lora_name="oft.safetensors")
    assert line.startswith("the model oft.safetensors: the tensor lora_unet_conv_in.oft_blocks is of a OFT")


def test_a_model_that_is_not_there_is_no_lack_of_the_engine(models: Path) -> None:
    assert lacks(models, "CheckpointLoaderSimple", ckpt_name="absent.safetensors") == []


def test_a_node_class_that_is_not_here_is_named(models: Path) -> None:
    assert lacks(models, "UnheardOf") == ["the node class UnheardOf"]
