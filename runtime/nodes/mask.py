"""Nodes that make masks, read them from pictures, and cut or threshold them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from runtime.errors import NodeFailed
from runtime.nodes.inputs import MAX_RESOLUTION, InputTypes, choice, decimal, integer
from runtime.nodes.pictures import Pictures

if TYPE_CHECKING:
    from torch import Tensor

_CHANNELS = ("red", "green", "blue", "alpha")


def flat(mask: Tensor) -> Tensor:
    """`mask` (..., H, W) as (B, H, W)."""
    return mask.reshape(-1, *mask.shape[-2:])


class SolidMask:
    """A mask of one value."""

    RETURN_TYPES = ("MASK",)
    FUNCTION = "solid"
    CATEGORY = "mask"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "value": decimal(1.0, 0.0, 1.0, 0.01),
                "width": integer(512, 1, MAX_RESOLUTION, 1),
                "height": integer(512, 1, MAX_RESOLUTION, 1),
            }
        }

    @staticmethod
    def PICTURES(width: int, height: int, **_: object) -> Pictures:
        return Pictures(1, height, width)

    def solid(self, value: float, width: int, height: int) -> tuple[Tensor]:
        return (torch.full((1, height, width), value, dtype=torch.float32),)


class InvertMask:
    """The mask taken from 1."""

    RETURN_TYPES = ("MASK",)
    FUNCTION = "invert"
    CATEGORY = "mask"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"mask": ("MASK",)}}

    def invert(self, mask: Tensor) -> tuple[Tensor]:
        return (1.0 - mask,)


class CropMask:
    """A rectangle of the mask, in pixels; what would lie outside of the mask is left out."""

    RETURN_TYPES = ("MASK",)
    FUNCTION = "crop"
    CATEGORY = "mask"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "mask": ("MASK",),
                "x": integer(0, 0, MAX_RESOLUTION, 1),
                "y": integer(0, 0, MAX_RESOLUTION, 1),
                "width": integer(512, 1, MAX_RESOLUTION, 1),
                "height": integer(512, 1, MAX_RESOLUTION, 1),
            }
        }

    def crop(self, mask: Tensor, x: int, y: int, width: int, height: int) -> tuple[Tensor]:
        return (flat(mask)[:, y : y + height, x : x + width],)


class ThresholdMask:
    """1 where the mask is above `value`, 0 elsewhere."""

    RETURN_TYPES = ("MASK",)
    FUNCTION = "threshold"
    CATEGORY = "mask"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"mask": ("MASK",), "value": decimal(0.5, 0.0, 1.0, 0.01)}}

    def threshold(self, mask: Tensor, value: float) -> tuple[Tensor]:
        return ((mask > value).float(),)


class MaskToImage:
    """The mask as a grey picture."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "mask_to_image"
    CATEGORY = "mask"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"mask": ("MASK",)}}

    def mask_to_image(self, mask: Tensor) -> tuple[Tensor]:
        return (flat(mask)[..., None].expand(-1, -1, -1, 3),)


class ImageToMask:
    """One channel of the picture."""

    RETURN_TYPES = ("MASK",)
    FUNCTION = "image_to_mask"
    CATEGORY = "mask"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"image": ("IMAGE",), "channel": choice(*_CHANNELS)}}

    def image_to_mask(self, image: Tensor, channel: str) -> tuple[Tensor]:
        index = _CHANNELS.index(channel)
        if index >= image.shape[-1]:
            raise NodeFailed(f"ImageToMask: the image has {image.shape[-1]} channels, so it has no channel {channel!r}")
        return (image[..., index],)


class ImageColorToMask:
    """1 where the picture, in 8-bit levels, has the colour 0xRRGGBB, 0 elsewhere."""

    RETURN_TYPES = ("MASK",)
    FUNCTION = "image_to_mask"
    CATEGORY = "mask"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"image": ("IMAGE",), "color": integer(0, 0, 0xFFFFFF, 1, display="color")}}

    def image_to_mask(self, image: Tensor, color: int) -> tuple[Tensor]:
        levels = (image[..., :3].clamp(0, 1) * 255).round()
        wanted = torch.tensor([color >> shift & 0xFF for shift in (16, 8, 0)], device=image.device)
        return ((levels == wanted).all(dim=-1).float(),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "SolidMask": SolidMask,
    "InvertMask": InvertMask,
    "CropMask": CropMask,
    "ThresholdMask": ThresholdMask,
    "MaskToImage": MaskToImage,
    "ImageToMask": ImageToMask,
    "ImageColorToMask": ImageColorToMask,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "MaskToImage": "Convert Mask to Image",
    "ImageToMask": "Convert Image to Mask",
}
