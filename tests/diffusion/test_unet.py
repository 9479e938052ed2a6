from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from runtime.diffusion.checkpoint import load_checkpoint
from runtime.diffusion.unet import UNet
from runtime.models.safetensors_file import SafetensorsFile

CPU = torch.device("cpu")


def _checkpoint(models: Path, name: str) -> Path:
    return models / "checkpoints" / f"{name}.safetensors"


@pytest.fixture(scope="module")
def unet(mini_models: Path) -> UNet:
    return load_checkpoint(_checkpoint(mini_models, "sd1_mini"), device=CPU).model.unet


@pytest.fixture(scope="module")
def sdxl(mini_models: Path) -> UNet:
    return load_checkpoint(_checkpoint(mini_models, "sdxl_mini"), device=CPU).model.unet


def _normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def _output(unet: UNet, x: Tensor, *, timestep: float = 500, seed: int = 1, y: Tensor | None = None) -> Tensor:
    context = _normal(1, 77, unet.get_parameter(_CONTEXT).shape[1], seed=seed).expand(len(x), -1, -1)
    with torch.inference_mode():
        return unet(x, torch.full((len(x),), timestep), context, y)  # type: ignore[no-any-return]  # a module's call


_CONTEXT = "middle_block.1.transformer_blocks.0.attn2.to_k.weight"


@pytest.mark.parametrize("size", [(8, 8), (9, 13), (1, 1), (16, 5)], ids=str)
def test_any_size_of_latent_comes_back_at_its_size(unet: UNet, size: tuple[int, int]) -> None:
    output = _output(unet, _normal(1, 4, *size))
    assert output.shape == (1, 4, *size)
    assert bool(output.isfinite().all())


def test_the_latents_of_a_batch_do_not_see_each_other(unet: UNet) -> None:
    x = _normal(2, 4, 8, 8)
    both = _output(unet, x)
    torch.testing.assert_close(both[1:], _output(unet, x[1:]), rtol=1e-4, atol=1e-5)


def test_the_prompt_and_the_timestep_steer_the_output(unet: UNet) -> None:
    x = _normal(1, 4, 8, 8)
    output = _output(unet, x)
    assert not torch.allclose(output, _output(unet, x, seed=2), rtol=1e-3)
    assert not torch.allclose(output, _output(unet, x, timestep=501), rtol=1e-3)


def test_the_vector_steers_the_output_of_sdxl(sdxl: UNet) -> None:
    x, width = _normal(1, 4, 8, 8), sdxl.spec.adm_channels or 0
    with_one, with_other = (_output(sdxl, x, y=_normal(1, width, seed=seed)) for seed in (3, 4))
    assert not torch.allclose(with_one, with_other, rtol=1e-3)


def test_the_layout_of_memory_does_not_change_the_output(unet: UNet) -> None:
    x = _normal(1, 4, 8, 8)
    channels_last = _output(unet, x.contiguous(memory_format=torch.channels_last))
    torch.testing.assert_close(channels_last, _output(unet, x), rtol=1e-4, atol=1e-5)


def test_the_input_is_left_as_it_was(unet: UNet) -> None:
    x = _normal(1, 4, 8, 8)
    before = x.clone()
    _output(unet, x)
    assert torch.equal(x, before)


def test_weights_in_the_files_dtype_are_the_file_itself(mini_models: Path) -> None:
    path = _checkpoint(mini_models, "sd1_mini")
    unet = load_checkpoint(path, device=CPU, dtype=torch.float16).model.unet
    with SafetensorsFile(path) as file:
        stored = file.tensor("model.diffusion_model.out.2.weight", device=CPU)
    assert torch.equal(unet.out_conv.weight, stored)
    assert unet.out_conv.weight.dtype == torch.float16
