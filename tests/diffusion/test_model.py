from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from runtime.diffusion.checkpoint import load_checkpoint
from runtime.diffusion.family import Family
from runtime.diffusion.model import DiffusionModel
from runtime.diffusion.prediction import Parameterization, Prediction
from runtime.diffusion.unet import Residuals, UNet
from runtime.diffusion.unet_spec import UNetSpec

CPU = torch.device("cpu")
SPEC = UNetSpec(
    in_channels=4,
    out_channels=4,
    model_channels=32,
    adm_channels=None,
    heads=8,
    head_channels=None,
    input_blocks=(),
    middle_block=(),
    output_blocks=(),
)


class KnowingUNet(UNet):
    """Knows the noise that was added to a latent, and writes down what it was given."""

    def __init__(self, noise: Tensor) -> None:
        super().__init__(SPEC)
        self.noise = noise

    def forward(
        self, x: Tensor, timestep: Tensor, context: Tensor, y: Tensor | None = None, control: Residuals | None = None
    ) -> Tensor:
        self.x, self.timestep, self.context = x, timestep, context
        return self.noise.to(x.dtype)


@pytest.fixture
def clean() -> Tensor:
    return torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def unet() -> KnowingUNet:
    return KnowingUNet(torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(2)))


def _model(unet: UNet, *, family: Family = Family.SD1, dtype: torch.dtype = torch.float32) -> DiffusionModel:
    return DiffusionModel(unet=unet, family=family, prediction=Prediction(), device=CPU, dtype=dtype)


CONTEXT = torch.zeros(2, 77, 64)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_the_clean_latent_comes_out_in_float32_whatever_the_network_runs_in(
    unet: KnowingUNet, clean: Tensor, dtype: torch.dtype
) -> None:
    sigma = torch.tensor([0.5, 9.0])
    denoised = _model(unet, dtype=dtype).denoise(clean + unet.noise * sigma.view(-1, 1, 1, 1), sigma, CONTEXT)
    assert denoised.dtype == torch.float32
    assert unet.x.dtype == unet.context.dtype == dtype
    torch.testing.assert_close(denoised, clean, rtol=0, atol=1e-5 if dtype == torch.float32 else 0.2)


def test_the_network_reads_the_scaled_latent_at_its_timestep(unet: KnowingUNet, clean: Tensor) -> None:
    sigma = Prediction().sigmas[[10, 900]]
    _model(unet).denoise(clean, sigma, CONTEXT)
    assert unet.timestep.tolist() == [10, 900]
    torch.testing.assert_close(unet.x, clean / (sigma**2 + 1).sqrt().view(-1, 1, 1, 1))


def test_what_an_inpainting_model_reads_more_is_not_scaled(unet: KnowingUNet, clean: Tensor) -> None:
    concat = torch.randn(2, 5, 3, 5)
    _model(unet).denoise(clean, torch.tensor([3.0, 3.0]), CONTEXT, concat=concat)
    assert unet.x.shape == (2, 9, 3, 5)
    assert torch.equal(unet.x[:, 4:], concat)


@pytest.mark.parametrize(("family", "scale"), [(Family.SD1, 0.18215), (Family.SD2, 0.18215), (Family.SDXL, 0.13025)])
def test_a_latent_goes_into_the_networks_space_and_back(
    unet: KnowingUNet, clean: Tensor, family: Family, scale: float
) -> None:
    model = _model(unet, family=family)
    torch.testing.assert_close(model.process_latent_in(clean), clean * scale)
    torch.testing.assert_close(model.process_latent_out(model.process_latent_in(clean)), clean)


def test_a_change_makes_another_model_on_the_same_weights(unet: KnowingUNet) -> None:
    model = _model(unet)
    changed = model.with_prediction(Prediction(parameterization=Parameterization.V)).with_cfg_rescale(0.7)
    assert changed.unet is model.unet
    assert changed.prediction.parameterization is Parameterization.V
    assert changed.cfg_rescale == 0.7
    assert model.prediction.parameterization is Parameterization.EPS
    assert model.cfg_rescale is None


def _mini(models: Path, name: str) -> DiffusionModel:
    return load_checkpoint(models / "checkpoints" / f"{name}.safetensors", device=CPU).model


def _first_cosines(vector: Tensor, pooled_width: int) -> list[float]:
    """The first of the 256 sinusoids of each number behind the pooled text: its cosine."""
    return vector[0, pooled_width::256].tolist()


def test_the_vector_of_sdxl_holds_size_crop_and_target_with_heights_first(mini_models: Path) -> None:
    pooled = torch.randn(2, 128)
    vector = _mini(mini_models, "sdxl_mini").adm(
        pooled=pooled, width=2, height=1, crop_w=4, crop_h=3, target_width=6, target_height=5
    )
    assert vector is not None
    assert vector.shape == (2, 128 + 6 * 256)
    assert torch.equal(vector[:, :128], pooled)
    assert _first_cosines(vector, 128) == pytest.approx([math.cos(number) for number in (1, 2, 3, 4, 5, 6)])


def test_the_target_is_the_original_size_where_none_is_given(mini_models: Path) -> None:
    model, pooled = _mini(mini_models, "sdxl_mini"), torch.zeros(1, 128)
    vector = model.adm(pooled=pooled, width=640, height=480)
    expected = model.adm(pooled=pooled, width=640, height=480, target_width=640, target_height=480)
    assert vector is not None
    assert expected is not None
    assert torch.equal(vector, expected)


def test_the_vector_of_the_refiner_ends_with_the_aesthetic_score(mini_models: Path) -> None:
    model = _mini(mini_models, "sdxl_refiner_mini")
    vector = model.adm(pooled=torch.zeros(1, 128), width=2, height=1, crop_w=4, crop_h=3, aesthetic_score=2.5)
    assert vector is not None
    assert _first_cosines(vector, 128) == pytest.approx([math.cos(number) for number in (1, 2, 3, 4, 2.5)])


def test_without_a_pooled_text_the_vector_holds_zeros_for_it(mini_models: Path) -> None:
    vector = _mini(mini_models, "sdxl_mini").adm(pooled=None)
    assert vector is not None
    assert vector.shape == (1, 128 + 6 * 256)
    assert not vector[:, :128].any()


def test_a_family_without_a_vector_has_none(mini_models: Path) -> None:
    assert _mini(mini_models, "sd1_mini").adm(pooled=torch.zeros(1, 64)) is None
