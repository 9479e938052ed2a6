"""Nodes that blend, blur and sharpen pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from runtime.nodes.image import with_channels_of
from runtime.nodes.inputs import InputTypes, choice, decimal, integer
from runtime.nodes.resize import resize_image

if TYPE_CHECKING:
    from torch import Tensor


class ImageBlend:
    """`image2`, cut and resized to `image1` and blended with it, in the share `blend_factor`."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "blend"
    CATEGORY = "image/postprocessing"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "image1": ("IMAGE",),
                "image2": ("IMAGE",),
                "blend_factor": decimal(0.5, 0.0, 1.0, 0.01),
                "blend_mode": choice(*BLENDS),
            }
        }

    def blend(self, image1: Tensor, image2: Tensor, blend_factor: float, blend_mode: str) -> tuple[Tensor]:
        above = with_channels_of(image2.to(image1.device), image1)
        if above.shape[1:3] != image1.shape[1:3]:
            above = resize_image(above, image1.shape[2], image1.shape[1], "bicubic", "center")
        blended = BLENDS[blend_mode](image1, above)
        return ((image1 * (1 - blend_factor) + blended * blend_factor).clamp(0, 1),)


class ImageBlur:
    """A Gaussian blur; `sigma` is in parts of `blur_radius`, which is in pixels."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "blur"
    CATEGORY = "image/postprocessing"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "image": ("IMAGE",),
                "blur_radius": integer(1, 1, 31, 1),
                "sigma": decimal(1.0, 0.1, 10.0, 0.1),
            }
        }

    def blur(self, image: Tensor, blur_radius: int, sigma: float) -> tuple[Tensor]:
        return (blurred(image, blur_radius, sigma) if blur_radius else image,)


class ImageSharpen:
    """An unsharp mask: ten times `alpha` of what a Gaussian blur takes away is added."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "sharpen"
    CATEGORY = "image/postprocessing"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "image": ("IMAGE",),
                "sharpen_radius": integer(1, 1, 31, 1),
                "sigma": decimal(1.0, 0.1, 10.0, 0.01),
                "alpha": decimal(1.0, 0.0, 5.0, 0.01),
            }
        }

    def sharpen(self, image: Tensor, sharpen_radius: int, sigma: float, alpha: float) -> tuple[Tensor]:
        if sharpen_radius == 0:
            return (image,)
        detail = image - blurred(image, sharpen_radius, sigma)
        return ((image + 10 * alpha * detail).clamp(0, 1),)


def blurred(image: Tensor, radius: int, sigma: float) -> Tensor:
    """`image` (B, H, W, C) under a Gaussian of 2 `radius` + 1 pixels a side, mirrored at its edges.

    The Gaussian is the product of one along each axis, so that each is applied by itself.
    """
    planes = F.pad(image.movedim(-1, 1), (radius,) * 4, mode="reflect")
    channels = planes.shape[1]
    kernel = _gaussian(radius, sigma).to(planes).repeat(channels, 1, 1, 1)
    across = F.conv2d(planes, kernel, groups=channels)
    return F.conv2d(across, kernel.movedim(-1, -2), groups=channels).movedim(1, -1)


def _gaussian(radius: int, sigma: float) -> Tensor:
    """2 `radius` + 1 weights that sum to 1, over -1..1 with the deviation `sigma`."""
    weights = torch.exp(-0.5 * (torch.linspace(-1, 1, 2 * radius + 1, dtype=torch.float64) / sigma).square())
    return weights / weights.sum()


def _screen(below: Tensor, above: Tensor) -> Tensor:
    return 1 - (1 - below) * (1 - above)


def _overlay(below: Tensor, above: Tensor) -> Tensor:
    return torch.where(below <= 0.5, 2 * below * above, 1 - 2 * (1 - below) * (1 - above))


def _soft_light(below: Tensor, above: Tensor) -> Tensor:
    """W3C, Compositing and Blending Level 1, 10.1.9."""
    lifted = torch.where(below <= 0.25, ((16 * below - 12) * below + 4) * below, torch.sqrt(below))
    darker = below - (1 - 2 * above) * below * (1 - below)
    return torch.where(above <= 0.5, darker, below + (2 * above - 1) * (lifted - below))


BLENDS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "normal": lambda below, above: above,
    "multiply": lambda below, above: below * above,
    "screen": _screen,
    "overlay": _overlay,
    "soft_light": _soft_light,
    "difference": lambda below, above: below - above,
}
NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ImageBlend": ImageBlend,
    "ImageBlur": ImageBlur,
    "ImageSharpen": ImageSharpen,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "ImageBlend": "Image Blend",
    "ImageBlur": "Image Blur",
    "ImageSharpen": "Image Sharpen",
}
