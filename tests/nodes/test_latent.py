from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

Call = Callable[..., Any]
Latent = Callable[..., dict[str, Any]]


def test_an_empty_latent_is_an_eighth_of_the_picture(call: Call) -> None:
    (latent,) = call("EmptyLatentImage", width=72, height=40, batch_size=3)
    assert torch.equal(latent["samples"], torch.zeros(3, 4, 5, 9))


@pytest.mark.parametrize(
    ("width", "height", "size"),
    [(128, 64, (8, 16)), (16, 16, (8, 8)), (128, 0, (12, 16)), (0, 96, (12, 16)), (8, 0, (8, 8))],
    ids=["both", "too small", "height follows", "width follows", "follows the least side"],
)
def test_a_latent_is_resized_to_a_picture_size(
    width: int, height: int, size: tuple[int, int], call: Call, latent: Latent
) -> None:
    given = latent(6, 8, batch_index=[4])
    (scaled,) = call("LatentUpscale", samples=given, upscale_method="area", width=width, height=height, crop="disabled")
    assert scaled["samples"].shape == (1, 4, *size)
    assert scaled["batch_index"] == [4]


def test_two_sides_of_nought_leave_the_latent_alone(call: Call, latent: Latent) -> None:
    given = latent()
    assert call("LatentUpscale", samples=given, upscale_method="area", width=0, height=0, crop="center")[0] is given


def test_a_factor_scales_both_sides(call: Call, latent: Latent) -> None:
    (scaled,) = call("LatentUpscaleBy", samples=latent(6, 8), upscale_method="bislerp", scale_by=1.5)
    assert scaled["samples"].shape == (1, 4, 9, 12)


@pytest.mark.parametrize("shape", [(6, 8), (2, 6, 8), (2, 1, 6, 8)], ids=len)
def test_a_noise_mask_has_a_channel_of_its_own(shape: tuple[int, ...], call: Call, latent: Latent) -> None:
    given = latent()
    (masked,) = call("SetLatentNoiseMask", samples=given, mask=torch.ones(shape))
    assert masked["noise_mask"].shape[1:] == (1, 6, 8)
    assert masked["samples"] is given["samples"]
    assert "noise_mask" not in given
