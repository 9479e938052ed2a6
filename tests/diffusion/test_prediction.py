from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from runtime.diffusion.prediction import Parameterization, Prediction

EPS = Prediction()
V = Prediction(parameterization=Parameterization.V)
LCM = Prediction(parameterization=Parameterization.LCM)
ZERO_TERMINAL = Prediction(parameterization=Parameterization.V, zero_terminal_snr=True)


@pytest.fixture
def clean() -> Tensor:
    return torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(1))


@pytest.fixture
def noise() -> Tensor:
    return torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(2))


def test_the_noise_levels_are_those_of_stable_diffusions_training() -> None:
    assert EPS.sigmas.shape == (1000,)
    assert bool((EPS.sigmas.diff() > 0).all())
    assert EPS.sigma_min.item() == pytest.approx(0.0291675, abs=1e-6)
    assert EPS.sigma_max.item() == pytest.approx(14.614643, abs=1e-5)


def test_zero_terminal_snr_ends_in_noise_alone_and_begins_as_before() -> None:
    assert ZERO_TERMINAL.sigma_max.item() == pytest.approx(4518.76, rel=1e-5)
    assert ZERO_TERMINAL.sigma_min.item() == pytest.approx(EPS.sigma_min.item(), rel=1e-5)


@pytest.mark.parametrize("prediction", [EPS, ZERO_TERMINAL], ids=["usual", "zero terminal snr"])
def test_a_timestep_and_its_sigma_lead_back_to_each_other(prediction: Prediction) -> None:
    steps = torch.arange(1000)
    assert torch.equal(prediction.timestep(prediction.sigma(steps)), steps)


def test_between_two_steps_sigma_is_their_geometric_mean() -> None:
    between = EPS.sigma(torch.tensor([500.5])).item()
    assert between == pytest.approx(math.sqrt(EPS.sigmas[500].item() * EPS.sigmas[501].item()), rel=1e-5)


@pytest.mark.parametrize(("step", "clamped"), [(-5.0, 0), (2000.0, 999)])
def test_a_step_outside_training_is_taken_for_the_nearest(step: float, clamped: int) -> None:
    assert EPS.sigma(torch.tensor([step])).item() == pytest.approx(EPS.sigmas[clamped].item(), rel=1e-6)


@pytest.mark.parametrize(
    ("percent", "sigma"), [(-1.0, 999999999.9), (0.0, 999999999.9), (1.0, 0.0), (1.5, 0.0)], ids=str
)
def test_the_ends_of_the_way_are_beyond_all_noise_and_without_any(percent: float, sigma: float) -> None:
    assert EPS.percent_to_sigma(percent) == sigma


def test_half_of_the_way_is_half_of_the_steps() -> None:
    assert EPS.percent_to_sigma(0.5) == pytest.approx(EPS.sigma(torch.tensor([499.5])).item())


def _v(clean: Tensor, noise: Tensor, sigma: Tensor) -> Tensor:
    """The target of v-prediction at a level, from its definition."""
    alpha = (1 / (sigma**2 + 1)).view(-1, 1, 1, 1)
    return alpha.sqrt() * noise - (1 - alpha).sqrt() * clean


@pytest.mark.parametrize("sigma", [torch.tensor([0.5, 9.0]), torch.tensor([3.0])], ids=["one each", "one for all"])
def test_a_perfect_answer_gives_the_clean_latent_back(clean: Tensor, noise: Tensor, sigma: Tensor) -> None:
    noisy = clean + noise * sigma.view(-1, 1, 1, 1)
    x0 = Prediction(parameterization=Parameterization.X0)
    torch.testing.assert_close(EPS.denoised(noise, sigma, noisy), clean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(V.denoised(_v(clean, noise, sigma), sigma, noisy), clean, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(x0.denoised(clean, sigma, noisy), clean)


def test_the_network_reads_unit_variance(clean: Tensor, noise: Tensor) -> None:
    sigma = torch.tensor([0.1, 14.0])
    scaled = EPS.scale_input(clean + noise * sigma.view(-1, 1, 1, 1), sigma)
    assert scaled.std().item() == pytest.approx(1, abs=0.2)


def test_a_latent_that_is_read_as_it_is_stays_unscaled(clean: Tensor) -> None:
    prediction = Prediction(parameterization=Parameterization.IMG_TO_IMG)
    assert torch.equal(prediction.scale_input(clean, torch.tensor([3.0])), clean)


def test_sampling_starts_from_the_latent_under_noise(clean: Tensor, noise: Tensor) -> None:
    start = EPS.noise_scaling(torch.tensor(3.0), noise, clean)
    torch.testing.assert_close(start, clean + 3 * noise)
    assert torch.equal(EPS.inverse_noise_scaling(torch.tensor(0.0), start), start)


def test_sampling_from_noise_alone_starts_at_its_full_variance(clean: Tensor, noise: Tensor) -> None:
    start = EPS.noise_scaling(torch.tensor(3.0), noise, torch.zeros_like(clean), max_denoise=True)
    torch.testing.assert_close(start, noise * 10**0.5)


def test_noise_scaling_leaves_the_noise_that_it_was_given(clean: Tensor, noise: Tensor) -> None:
    before = noise.clone()
    EPS.noise_scaling(torch.tensor(3.0), noise, clean)
    assert torch.equal(noise, before)


def test_a_consistency_model_knows_every_twentieth_level() -> None:
    assert torch.equal(LCM.sigmas, EPS.sigmas[19::20])
    assert torch.equal(LCM.timestep(LCM.sigmas), torch.arange(19, 1000, 20))
    assert torch.allclose(LCM.sigma(torch.arange(19, 1000, 20)), LCM.sigmas)


def test_a_consistency_models_answer_is_weighed_with_its_input(clean: Tensor) -> None:
    """By c_out and c_skip of its paper, equation 9, at ten times the timestep and a sigma_data of 0.5."""
    sigma, output = LCM.sigma_min.view(1), torch.zeros_like(clean)
    t = 10 * 19
    expected = t / math.hypot(t, 0.5) + 0.25 / (t**2 + 0.25)
    torch.testing.assert_close(LCM.denoised(output, sigma, clean), clean * expected)
