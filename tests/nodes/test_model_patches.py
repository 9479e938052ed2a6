from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch

from runtime.diffusion.family import Family
from runtime.diffusion.model import DiffusionModel
from runtime.diffusion.prediction import Parameterization, Prediction
from runtime.diffusion.unet import UNet

Call = Callable[..., Any]


@pytest.fixture
def model() -> DiffusionModel:
    unet = cast(UNet, SimpleNamespace())
    return DiffusionModel(
        unet=unet, family=Family.SD1, prediction=Prediction(), device=torch.device("cpu"), dtype=torch.float32
    )


@pytest.mark.parametrize("sampling", ["eps", "v_prediction", "lcm", "x0", "img_to_img"])
@pytest.mark.parametrize("zsnr", [True, False], ids=["zero snr", "as trained"])
def test_a_model_is_read_in_another_way(sampling: str, zsnr: bool, call: Call, model: DiffusionModel) -> None:
    (read,) = call("ModelSamplingDiscrete", model=model, sampling=sampling, zsnr=zsnr)
    assert read.prediction == Prediction(parameterization=Parameterization(sampling), zero_terminal_snr=zsnr)
    assert read.unet is model.unet
    assert model.prediction == Prediction()


def test_rescaled_guidance_is_set_on_a_copy(call: Call, model: DiffusionModel) -> None:
    (rescaled,) = call("RescaleCFG", model=model, multiplier=0.7)
    assert (rescaled.cfg_rescale, model.cfg_rescale) == (0.7, None)
    assert rescaled.unet is model.unet
