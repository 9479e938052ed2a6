from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.nodes.image_quantize import _bayer

Call = Callable[..., Any]


def _colours(image: Tensor) -> int:
    return len(torch.unique((image * 255).round().reshape(-1, image.shape[-1]), dim=0))


@pytest.mark.parametrize("dither", ["none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16"])
def test_no_more_colours_are_left_than_asked_for(dither: str, call: Call, picture: Callable[..., Tensor]) -> None:
    (image,) = call("ImageQuantize", image=picture(20, 30, batch=2), colors=5, dither=dither)
    assert image.shape == (2, 20, 30, 3)
    assert all(_colours(one) <= 5 for one in image)


def test_an_image_of_few_colours_keeps_them(call: Call) -> None:
    image = torch.zeros(1, 4, 4, 3)
    image[:, :2] = 1.0
    assert torch.equal(call("ImageQuantize", image=image, colors=8, dither="none")[0], image)


def test_alpha_is_dropped(call: Call, picture: Callable[..., Tensor]) -> None:
    assert call("ImageQuantize", image=picture(channels=4), colors=8, dither="none")[0].shape[-1] == 3


@pytest.mark.parametrize("order", [2, 4, 8, 16])
def test_the_thresholds_are_evenly_spaced_around_nought(order: int) -> None:
    thresholds = _bayer(order).flatten().sort().values
    torch.testing.assert_close(thresholds.diff(), torch.full((order * order - 1,), 1 / order**2))
    assert thresholds.sum().abs() < 1.0
