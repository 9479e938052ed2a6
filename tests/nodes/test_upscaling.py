from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from runtime.errors import InputRejected
from runtime.upscaling.upscaler import Upscaler


@pytest.fixture
def upscaler() -> Upscaler:
    return Upscaler(nn.Upsample(scale_factor=4), scale=4, device=torch.device("cpu"))


def test_a_picture_is_enlarged_and_its_tiles_are_steps(
    call: Callable[..., Any], picture: Callable[..., Tensor], worker: Any, upscaler: Upscaler
) -> None:
    (made,) = call("ImageUpscaleWithModel", upscale_model=upscaler, image=picture(6, 600))
    assert made.shape == (1, 24, 2400, 3)
    assert worker.steps == [(1, 2), (2, 2)]


def test_a_picture_with_an_alpha_channel_is_refused(
    call: Callable[..., Any], picture: Callable[..., Tensor], upscaler: Upscaler
) -> None:
    with pytest.raises(InputRejected, match="takes pictures of 3 channels, but image has 4"):
        call("ImageUpscaleWithModel", upscale_model=upscaler, image=picture(channels=4))
