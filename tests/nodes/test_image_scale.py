from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

Call = Callable[..., Any]
Picture = Callable[..., Tensor]
METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")


@pytest.mark.parametrize("method", METHODS)
def test_an_image_is_scaled_to_the_size_that_is_asked_for(method: str, call: Call, picture: Picture) -> None:
    (image,) = call("ImageScale", image=picture(), upscale_method=method, width=5, height=9, crop="disabled")
    assert image.shape == (1, 9, 5, 3)


@pytest.mark.parametrize(
    ("width", "height", "size"), [(16, 0, (12, 16)), (0, 3, (3, 4)), (0, 1, (1, 1)), (1, 0, (1, 1))]
)
def test_a_side_of_nought_keeps_the_proportions(
    width: int, height: int, size: tuple[int, int], call: Call, picture: Picture
) -> None:
    (image,) = call("ImageScale", image=picture(), upscale_method="area", width=width, height=height, crop="disabled")
    assert image.shape[1:3] == size


def test_two_sides_of_nought_leave_the_image_alone(call: Call, picture: Picture) -> None:
    image = picture()
    assert call("ImageScale", image=image, upscale_method="area", width=0, height=0, crop="center")[0] is image


def test_a_factor_scales_both_sides(call: Call, picture: Picture) -> None:
    (image,) = call("ImageScaleBy", image=picture(), upscale_method="bilinear", scale_by=1.5)
    assert image.shape == (1, 9, 12, 3)


def test_a_megapixel_is_1024_by_1024(call: Call, picture: Picture) -> None:
    (image,) = call("ImageScaleToTotalPixels", image=picture(8, 8), upscale_method="nearest-exact", megapixels=0.25)
    assert image.shape == (1, 512, 512, 3)


def test_padding_is_grey_and_masked(call: Call, picture: Picture) -> None:
    image, mask = call("ImagePadForOutpaint", image=picture(), left=8, top=0, right=0, bottom=16, feathering=0)
    assert image.shape == (1, 22, 16, 3)
    assert torch.equal(image[:, :6, 8:], picture())
    assert torch.equal(image[:, :, :8], torch.full((1, 22, 8, 3), 0.5))
    assert torch.equal(mask[:, :6, 8:], torch.zeros(1, 6, 8))
    assert mask.sum() == 22 * 16 - 6 * 8


def test_the_mask_fades_into_the_picture_from_padded_sides_alone(call: Call, picture: Picture) -> None:
    _, mask = call("ImagePadForOutpaint", image=picture(10, 10), left=8, top=0, right=0, bottom=0, feathering=2)
    assert mask[0, 5, 8:12].tolist() == [1.0, 0.25, 0.0, 0.0]
    assert mask[0, :, -1].sum() == 0


def test_feathering_as_wide_as_half_the_picture_is_left_out(call: Call, picture: Picture) -> None:
    _, mask = call("ImagePadForOutpaint", image=picture(10, 20), left=8, top=8, right=8, bottom=8, feathering=5)
    assert mask[:, 8:18, 8:28].sum() == 0
