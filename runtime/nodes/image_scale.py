"""Nodes that change a picture's size."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from runtime.nodes.inputs import MAX_RESOLUTION, InputTypes, choice, decimal, integer
from runtime.nodes.pictures import Pictures
from runtime.nodes.resize import CROPS, IMAGE_METHODS, resize_image

if TYPE_CHECKING:
    from torch import Tensor

_MEGAPIXEL = 1024 * 1024  # pixels, as ComfyUI counts them
_PADDING_GREY = 0.5


class ImageScale:
    """A picture at `width` by `height` pixels; a side of 0 follows the other."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"
    CATEGORY = "image/upscaling"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "image": ("IMAGE",),
                "upscale_method": choice(*IMAGE_METHODS),
                "width": integer(512, 0, MAX_RESOLUTION, 1),
                "height": integer(512, 0, MAX_RESOLUTION, 1),
                "crop": choice(*CROPS),
            }
        }

    @staticmethod
    def PICTURES(image: Tensor, width: int, height: int, **_: object) -> Pictures:
        count, old_height, old_width = image.shape[:3]
        if width == 0 and height == 0:
            return Pictures(count, old_height, old_width)
        width = width or max(1, round(old_width * height / old_height))
        return Pictures(count, height or max(1, round(old_height * width / old_width)), width)

    def upscale(self, image: Tensor, upscale_method: str, width: int, height: int, crop: str) -> tuple[Tensor]:
        if width == 0 and height == 0:
            return (image,)
        made = self.PICTURES(image, width, height)
        return (resize_image(image, made.width, made.height, upscale_method, crop),)


class ImageScaleBy:
    """A picture with both its sides times `scale_by`."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"
    CATEGORY = "image/upscaling"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "image": ("IMAGE",),
                "upscale_method": choice(*IMAGE_METHODS),
                "scale_by": decimal(1.0, 0.01, 8.0, 0.01),
            }
        }

    @staticmethod
    def PICTURES(image: Tensor, scale_by: float, **_: object) -> Pictures:
        return Pictures(image.shape[0], *(round(side * scale_by) for side in image.shape[1:3]))

    def upscale(self, image: Tensor, upscale_method: str, scale_by: float) -> tuple[Tensor]:
        made = self.PICTURES(image, scale_by)
        return (resize_image(image, made.width, made.height, upscale_method),)


class ImageScaleToTotalPixels:
    """A picture in its own proportions at about `megapixels` times 1024 x 1024 pixels."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"
    CATEGORY = "image/upscaling"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "image": ("IMAGE",),
                "upscale_method": choice(*IMAGE_METHODS),
                "megapixels": decimal(1.0, 0.01, 16.0, 0.01),
            }
        }

    @staticmethod
    def PICTURES(image: Tensor, megapixels: float, **_: object) -> Pictures:
        count, old_height, old_width = image.shape[:3]
        scale = math.sqrt(int(megapixels * _MEGAPIXEL) / (old_width * old_height))
        return Pictures(count, round(old_height * scale), round(old_width * scale))

    def upscale(self, image: Tensor, upscale_method: str, megapixels: float) -> tuple[Tensor]:
        made = self.PICTURES(image, megapixels)
        return (resize_image(image, made.width, made.height, upscale_method),)


class ImageScaleToMaxDimension:
    """A picture in its own proportions, its longer side of `largest_size` pixels."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"
    CATEGORY = "image/upscaling"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "image": ("IMAGE",),
                "upscale_method": choice("area", "lanczos", "bilinear", "nearest-exact", "bilinear", "bicubic"),
                "largest_size": integer(512, 0, MAX_RESOLUTION, 1),
            }
        }

    @staticmethod
    def PICTURES(image: Tensor, largest_size: int, **_: object) -> Pictures:
        count, height, width = image.shape[:3]
        if height > width:
            return Pictures(count, largest_size, round(width / height * largest_size))
        return Pictures(count, round(height / width * largest_size), largest_size)

    def upscale(self, image: Tensor, upscale_method: str, largest_size: int) -> tuple[Tensor]:
        made = self.PICTURES(image, largest_size)
        return (resize_image(image, made.width, made.height, upscale_method),)


class ImagePadForOutpaint:
    """A picture with grey around it, and the mask of what is to be painted: the grey, faded into the picture."""

    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "expand_image"
    CATEGORY = "image"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        padding = integer(0, 0, MAX_RESOLUTION, 8)
        return {
            "required": {
                "image": ("IMAGE",),
                "left": padding,
                "top": padding,
                "right": padding,
                "bottom": padding,
                "feathering": integer(40, 0, MAX_RESOLUTION, 1),
            }
        }

    @staticmethod
    def PICTURES(image: Tensor, left: int, top: int, right: int, bottom: int, **_: object) -> Pictures:
        count, height, width = image.shape[:3]
        return Pictures(count, top + height + bottom, left + width + right)

    def expand_image(
        self, image: Tensor, left: int, top: int, right: int, bottom: int, feathering: int
    ) -> tuple[Tensor, Tensor]:
        batch, height, width, channels = image.shape
        rows, columns = slice(top, top + height), slice(left, left + width)
        padded = torch.full((batch, top + height + bottom, left + width + right, channels), _PADDING_GREY)
        padded[:, rows, columns] = image
        mask = torch.ones(1, *padded.shape[1:3])
        mask[:, rows, columns] = _faded(_inwards(height, top, bottom), _inwards(width, left, right), feathering)
        return padded, mask


def _inwards(length: int, before: int, after: int) -> Tensor:
    """How far each of `length` pixels lies from the padded ends of its axis, in pixels."""
    steps = torch.arange(length, dtype=torch.float64)
    to_start = steps if before else torch.full_like(steps, length)
    to_end = length - steps if after else torch.full_like(steps, length)
    return torch.minimum(to_start, to_end)


def _faded(rows: Tensor, columns: Tensor, feathering: int) -> Tensor:
    """The mask (H, W) inside the picture: 1 at a padded edge, falling with the square over `feathering` pixels."""
    if feathering == 0 or feathering * 2 >= min(len(rows), len(columns)):
        return torch.zeros(len(rows), len(columns))
    distance = torch.minimum(rows[:, None], columns[None, :])
    return ((feathering - distance) / feathering).clamp(min=0).square().float()


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ImageScale": ImageScale,
    "ImageScaleBy": ImageScaleBy,
    "ImageScaleToTotalPixels": ImageScaleToTotalPixels,
    "ImageScaleToMaxDimension": ImageScaleToMaxDimension,
    "ImagePadForOutpaint": ImagePadForOutpaint,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "ImageScale": "Upscale Image",
    "ImageScaleBy": "Upscale Image By",
    "ImageScaleToTotalPixels": "Scale Image to Total Pixels",
    "ImagePadForOutpaint": "Pad Image for Outpainting",
}
