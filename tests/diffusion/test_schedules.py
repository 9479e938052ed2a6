import pytest
import torch

from runtime.diffusion.prediction import Prediction
from runtime.diffusion.schedules import (
    SCHEDULER_NAMES,
    beta_sigmas,
    ddim_uniform_sigmas,
    exponential_sigmas,
    karras_sigmas,
    laplace_sigmas,
    polyexponential_sigmas,
    scheduler_sigmas,
    turbo_sigmas,
    variance_preserving_sigmas,
)
from runtime.errors import InvalidRequest

# What ComfyUI 0.3.64 gives for 5 steps of SD 1.x.
FIVE_STEPS = {
    "simple": (14.614641, 5.087763, 2.276463, 1.160578, 0.569285, 0.0),
    "sgm_uniform": (14.614640, 5.092408, 2.279731, 1.162865, 0.571189, 0.0),
    "karras": (14.614643, 4.796535, 1.274101, 0.247950, 0.029167, 0.0),
    "exponential": (14.614640, 3.088976, 0.652892, 0.137996, 0.029167, 0.0),
    "ddim_uniform": (5.134431, 2.292854, 1.168216, 0.574050, 0.041314, 0.0),
    "beta": (14.614641, 7.371844, 2.615236, 1.027329, 0.395510, 0.0),
    "normal": (14.614640, 4.086081, 1.615580, 0.695150, 0.029167, 0.0),
    "linear_quadratic": (14.614641, 14.431958, 14.249275, 12.544234, 7.794476, 0.0),
    "kl_optimal": (14.614633, 2.142741, 0.961588, 0.419836, 0.029167, 0.0),
}


def test_the_schedulers_stand_in_comfyuis_order() -> None:
    assert tuple(FIVE_STEPS) == SCHEDULER_NAMES


@pytest.mark.parametrize("scheduler", SCHEDULER_NAMES)
def test_five_steps_are_comfyuis(scheduler: str) -> None:
    torch.testing.assert_close(
        scheduler_sigmas(Prediction(), scheduler, 5), torch.tensor(FIVE_STEPS[scheduler]), rtol=1e-6, atol=1e-6
    )


@pytest.mark.parametrize("steps", [1, 2, 7, 20, 150, 1000])
@pytest.mark.parametrize("scheduler", SCHEDULER_NAMES)
def test_a_schedule_falls_to_zero(scheduler: str, steps: int) -> None:
    sigmas = scheduler_sigmas(Prediction(), scheduler, steps)
    assert sigmas.dtype == torch.float32
    assert torch.isfinite(sigmas).all()
    assert (sigmas.diff() <= 0).all()
    assert sigmas[-1] == 0


@pytest.mark.parametrize("scheduler", sorted({*SCHEDULER_NAMES} - {"ddim_uniform"}))
def test_a_schedule_begins_at_the_most_noise_of_the_model(scheduler: str) -> None:
    prediction = Prediction(zero_terminal_snr=True)
    torch.testing.assert_close(scheduler_sigmas(prediction, scheduler, 10)[0], prediction.sigma_max, rtol=2e-4, atol=0)


def test_an_unknown_scheduler_is_refused_with_those_there_are() -> None:
    with pytest.raises(InvalidRequest, match=r"'karass' is unknown.*karras"):
        scheduler_sigmas(Prediction(), "karass", 5)


@pytest.mark.parametrize(("steps", "expected"), [(6, 8), (10, 11), (999, 1000)], ids=str)
def test_ddim_uniform_takes_as_many_steps_as_its_stride_makes(steps: int, expected: int) -> None:
    assert len(ddim_uniform_sigmas(Prediction(), steps)) == expected


def test_beta_takes_steps_that_fall_on_one_level_once() -> None:
    sigmas = beta_sigmas(Prediction(), 900)
    assert len(sigmas) < 901
    assert (sigmas.diff() < 0).all()


def test_karras_sigmas_are_even_in_their_root() -> None:
    roots = karras_sigmas(9, sigma_min=0.1, sigma_max=10, rho=3.0)[:-1] ** (1 / 3)
    torch.testing.assert_close(roots.diff(), roots.diff().mean().expand(8), rtol=1e-4, atol=0)


def test_exponential_sigmas_fall_by_one_ratio() -> None:
    sigmas = exponential_sigmas(6, sigma_min=0.1, sigma_max=10)[:-1]
    torch.testing.assert_close(sigmas[1:] / sigmas[:-1], torch.full((5,), 0.01 ** (1 / 5)))


def test_polyexponential_sigmas_with_rho_1_are_exponential() -> None:
    torch.testing.assert_close(
        polyexponential_sigmas(6, sigma_min=0.1, sigma_max=10), exponential_sigmas(6, sigma_min=0.1, sigma_max=10)
    )


def test_laplace_sigmas_are_as_many_as_steps_and_stay_between_their_ends() -> None:
    sigmas = laplace_sigmas(11, sigma_min=0.1, sigma_max=5, mu=0.0, beta=0.5)
    assert len(sigmas) == 11
    torch.testing.assert_close(sigmas[[0, 5, -1]], torch.tensor([5.0, 1.0, 0.1]), rtol=0, atol=0)


def test_variance_preserving_sigmas_end_near_zero_time() -> None:
    sigmas = variance_preserving_sigmas(5)
    torch.testing.assert_close(sigmas[[0, -2, -1]], torch.tensor([152.17, 0.010486, 0.0]), rtol=1e-4, atol=0)


@pytest.mark.parametrize(
    ("steps", "denoise", "timesteps"),
    [(1, 1.0, [999]), (3, 1.0, [999, 899, 799]), (2, 0.5, [499, 399])],
    ids=["one", "three", "half"],
)
def test_turbo_sigmas_are_those_of_every_hundredth_timestep(steps: int, denoise: float, timesteps: list[int]) -> None:
    expected = Prediction().sigmas[timesteps]
    torch.testing.assert_close(turbo_sigmas(Prediction(), steps, denoise)[:-1], expected)
