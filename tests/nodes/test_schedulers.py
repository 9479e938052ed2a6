from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from runtime.diffusion import schedules
from runtime.diffusion.prediction import Prediction

Call = Callable[..., Any]
PREDICTION = Prediction()
MODEL = SimpleNamespace(prediction=PREDICTION)
ENDS = {"sigma_max": 14.0, "sigma_min": 0.03}


@pytest.mark.parametrize(
    ("name", "inputs", "expected"),
    [
        ("KarrasScheduler", {**ENDS, "rho": 5.0}, lambda: schedules.karras_sigmas(7, **ENDS, rho=5.0)),
        ("ExponentialScheduler", ENDS, lambda: schedules.exponential_sigmas(7, **ENDS)),
        (
            "PolyexponentialScheduler",
            {**ENDS, "rho": 2.0},
            lambda: schedules.polyexponential_sigmas(7, **ENDS, rho=2.0),
        ),
        (
            "LaplaceScheduler",
            {**ENDS, "mu": 0.5, "beta": 0.25},
            lambda: schedules.laplace_sigmas(7, **ENDS, mu=0.5, beta=0.25),
        ),
        (
            "VPScheduler",
            {"beta_d": 19.0, "beta_min": 0.2, "eps_s": 0.01},
            lambda: schedules.variance_preserving_sigmas(7, beta_d=19.0, beta_min=0.2, eps_s=0.01),
        ),
        (
            "BetaSamplingScheduler",
            {"model": MODEL, "alpha": 0.5, "beta": 0.7},
            lambda: schedules.beta_sigmas(PREDICTION, 7, alpha=0.5, beta=0.7),
        ),
        ("SDTurboScheduler", {"model": MODEL, "denoise": 0.8}, lambda: schedules.turbo_sigmas(PREDICTION, 7, 0.8)),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_scheduler_gives_its_formulas_sigmas(
    name: str, inputs: dict[str, Any], expected: Callable[[], torch.Tensor], call: Call
) -> None:
    assert torch.equal(call(name, steps=7, **inputs)[0], expected())


@pytest.mark.parametrize(("denoise", "total"), [(1.0, 6), (0.5, 12), (0.7, 8)])
def test_a_share_of_the_denoising_takes_the_end_of_a_longer_schedule(denoise: float, total: int, call: Call) -> None:
    (sigmas,) = call("BasicScheduler", model=MODEL, scheduler="normal", steps=6, denoise=denoise)
    assert torch.equal(sigmas, schedules.scheduler_sigmas(PREDICTION, "normal", total)[-7:])


def test_no_denoising_takes_no_sigmas(call: Call) -> None:
    assert len(call("BasicScheduler", model=MODEL, scheduler="normal", steps=6, denoise=0.0)[0]) == 0
