from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

Call = Callable[..., Any]
Picture = Callable[..., Tensor]


def _kernel(radius: int, sigma: float) -> Tensor:
    """The whole Gaussian, (2 radius + 1, 2 radius + 1), from its formula."""
    axis = torch.linspace(-1, 1, 2 * radius + 1, dtype=torch.float64)
    weights = torch.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / (2 * sigma**2))
    return weights / weights.sum()


def _filtered(image: Tensor, kernel: Tensor) -> Tensor:
    radius = kernel.shape[0] // 2
    planes = F.pad(image.movedim(-1, 1).double(), (radius,) * 4, mode="reflect")
    return torch.cat([F.conv2d(planes[:, c : c + 1], kernel[None, None]) for c in range(3)], dim=1).movedim(1, -1)


@pytest.mark.parametrize(("radius", "sigma"), [(1, 1.0), (3, 0.3), (5, 10.0)])
def test_a_blur_is_a_gaussian_over_a_square(radius: int, sigma: float, call: Call, picture: Picture) -> None:
    (blurred,) = call("ImageBlur", image=picture(12, 14), blur_radius=radius, sigma=sigma)
    expected = _filtered(picture(12, 14), _kernel(radius, sigma)).float()
    torch.testing.assert_close(blurred, expected, rtol=0, atol=1e-6)


def test_sharpening_adds_what_a_blur_takes_away(call: Call, picture: Picture) -> None:
    image = picture(12, 14) * 0.1 + 0.45
    (sharp,) = call("ImageSharpen", image=image, sharpen_radius=2, sigma=0.5, alpha=0.1)
    expected = 2 * image.double() - _filtered(image, _kernel(2, 0.5))
    torch.testing.assert_close(sharp, expected.float(), rtol=0, atol=1e-6)


def test_a_sharpened_image_stays_between_0_and_1(call: Call, picture: Picture) -> None:
    (sharp,) = call("ImageSharpen", image=picture(), sharpen_radius=1, sigma=1.0, alpha=5.0)
    assert sharp.min() == 0
    assert sharp.max() == 1


@pytest.mark.parametrize(
    ("mode", "blended"),
    [
        ("normal", 0.75),
        ("multiply", 0.1875),
        ("screen", 0.8125),
        ("overlay", 0.375),
        ("soft_light", 0.375),
        ("difference", 0.0),
    ],
)
def test_a_blend_of_a_quarter_and_three_quarters(mode: str, blended: float, call: Call) -> None:
    below, above = torch.full((1, 1, 1, 3), 0.25), torch.full((1, 1, 1, 3), 0.75)
    (image,) = call("ImageBlend", image1=below, image2=above, blend_factor=1.0, blend_mode=mode)
    assert image[0, 0, 0].tolist() == pytest.approx([blended] * 3)


def test_a_blend_takes_only_its_share(call: Call, picture: Picture) -> None:
    below, above = picture(), picture(seed=1)
    (image,) = call("ImageBlend", image1=below, image2=above, blend_factor=0.25, blend_mode="normal")
    torch.testing.assert_close(image, below * 0.75 + above * 0.25)


def test_a_blended_image_of_another_size_is_fitted(call: Call, picture: Picture) -> None:
    (image,) = call("ImageBlend", image1=picture(), image2=picture(20, 10), blend_factor=0.5, blend_mode="screen")
    assert image.shape == picture().shape


def test_an_image_without_alpha_blends_into_one_with_alpha(call: Call, picture: Picture) -> None:
    (image,) = call("ImageBlend", image1=picture(channels=4), image2=picture(), blend_factor=1.0, blend_mode="normal")
    assert torch.equal(image[..., 3], torch.ones(1, 6, 8))
