from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from runtime.diffusion.prediction import Prediction

Call = Callable[..., Any]


@pytest.mark.parametrize(("device", "name"), [("cpu", "dpmpp_3m_sde"), ("gpu", "dpmpp_3m_sde_gpu")])
def test_noise_is_drawn_where_the_node_says(device: str, name: str, call: Call) -> None:
    (sampler,) = call("SamplerDPMPP_3M_SDE", eta=0.5, s_noise=1.0, noise_device=device)
    assert (sampler.name, sampler.options) == (name, {"eta": 0.5, "s_noise": 1.0})


def test_an_er_sde_of_no_noise_is_an_ode(call: Call) -> None:
    for solver_type, eta in (("ODE", 1.0), ("Reverse-time SDE", 0.0)):
        (sampler,) = call("SamplerER_SDE", solver_type=solver_type, max_stage=2, eta=eta, s_noise=1.0)
        assert sampler.options["s_noise"] == 0
        assert sampler.options["noise_scaler"](torch.tensor(3.0)) == 3.0


def test_the_percents_of_an_sa_solver_are_those_of_its_own_model(call: Call) -> None:
    model = SimpleNamespace(prediction=Prediction(zero_terminal_snr=True))
    (sampler,) = call("SamplerSASolver", model=model, eta=1.0)
    assert sampler.options["percents_of"] is model.prediction


def test_a_sigma_at_an_end_is_beyond_every_step_or_the_models_own(call: Call) -> None:
    model = SimpleNamespace(prediction=Prediction())
    ends = [
        call("SamplingPercentToSigma", model=model, sampling_percent=percent, return_actual_sigma=actual)[0]
        for percent in (0.0, 1.0)
        for actual in (False, True)
    ]
    assert ends == pytest.approx([999999999.9, 14.6146, 0.0, 0.0292], rel=1e-2)
