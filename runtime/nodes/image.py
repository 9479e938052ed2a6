"""Nodes that make, join, cut and turn pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

from runtime.nodes.inputs import MAX_RESOLUTION, InputTypes, choice, integer
from runtime.nodes.latent_transform import QUARTER_TURNS
from runtime.nodes.pictures import Pictures
from runtime.nodes.resize import resize_image

if TYPE_CHECKING:
    from torch import Tensor

_MIRRORS = {"x-axis: vertically": 1, "y-axis: horizontally": 2}  # the axis of (B, H, W, C) that is turned round


def with_channels_of(image: Tensor, like: Tensor) -> Tensor:
    """`image` (B, H, W, c) with as many channels as `like`: the last ones dropped, or opaque ones added."""
    channels = like.shape[-1]
    return F.pad(image[..., :channels], (0, max(0, channels - image.shape[-1])), value=1.0)


class EmptyImage:
    """Pictures of one colour, 0xRRGGBB."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "generate"
    CATEGORY = "image"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "width": integer(512, 1, MAX_RESOLUTION, 1),
                "height": integer(512, 1, MAX_RESOLUTION, 1),
                "batch_size": integer(1, 1, 4096),
                "color": integer(0, 0, 0xFFFFFF, 1, display="color"),
            }
        }

    @staticmethod
    def PICTURES(width: int, height: int, batch_size: int = 1, **_: object) -> Pictures:
        return Pictures(batch_size, height, width)

    def generate(self, width: int, height: int, batch_size: int = 1, color: int = 0) -> tuple[Tensor]:
        channels = [(color >> shift & 0xFF) / 0xFF for shift in (16, 8, 0)]
        return (torch.tensor(channels, dtype=torch.float32).repeat(batch_size, height, width, 1),)


class ImageInvert:
    """Every channel taken from 1."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "invert"
    CATEGORY = "image"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"image": ("IMAGE",)}}

    def invert(self, image: Tensor) -> tuple[Tensor]:
        return (1.0 - image,)


class ImageBatch:
    """The pictures of `image2`, cut and resized to the first one's size, behind those of `image1`."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "batch"
    CATEGORY = "image"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"image1": ("IMAGE",), "image2": ("IMAGE",)}}

    def batch(self, image1: Tensor, image2: Tensor) -> tuple[Tensor]:
        if image1.shape[1:3] != image2.shape[1:3]:
            image2 = resize_image(image2, image1.shape[2], image1.shape[1], "bilinear", "center")
        return (torch.cat((image1, with_channels_of(image2, image1))),)


class ImageCrop:
    """A rectangle of the picture, in pixels; what would lie outside of the picture is left out."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "crop"
    CATEGORY = "image/transform"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "image": ("IMAGE",),
                "width": integer(512, 1, MAX_RESOLUTION, 1),
                "height": integer(512, 1, MAX_RESOLUTION, 1),
                "x": integer(0, 0, MAX_RESOLUTION, 1),
                "y": integer(0, 0, MAX_RESOLUTION, 1),
            }
        }

    def crop(self, image: Tensor, width: int, height: int, x: int, y: int) -> tuple[Tensor]:
        left, top = min(x, image.shape[2] - 1), min(y, image.shape[1] - 1)
        return (image[:, top : top + height, left : left + width],)


class ImageFlip:
    """Pictures mirrored."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "flip"
    CATEGORY = "image/transform"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"image": ("IMAGE",), "flip_method": choice(*_MIRRORS)}}

    def flip(self, image: Tensor, flip_method: str) -> tuple[Tensor]:
        return (torch.flip(image, (_MIRRORS[flip_method],)),)


class ImageRotate:
    """Pictures turned clockwise."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "rotate"
    CATEGORY = "image/transform"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"image": ("IMAGE",), "rotation": choice(*QUARTER_TURNS)}}

    def rotate(self, image: Tensor, rotation: str) -> tuple[Tensor]:
        return (torch.rot90(image, QUARTER_TURNS[rotation], (2, 1)),)


class RepeatImageBatch:
    """The whole batch `amount` times."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "repeat"
    CATEGORY = "image/batch"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"image": ("IMAGE",), "amount": integer(1, 1, 4096)}}

    @staticmethod
    def PICTURES(image: Tensor, amount: int) -> Pictures:
        return Pictures(image.shape[0] * amount, *image.shape[1:3])

    def repeat(self, image: Tensor, amount: int) -> tuple[Tensor]:
        return (image.repeat(amount, 1, 1, 1),)


class ImageFromBatch:
    """`length` pictures of a batch from `batch_index` on."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "take"
    CATEGORY = "image/batch"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "image": ("IMAGE",),
                "batch_index": integer(0, 0, 4095),
                "length": integer(1, 1, 4096),
            }
        }

    def take(self, image: Tensor, batch_index: int, length: int) -> tuple[Tensor]:
        start = min(image.shape[0] - 1, batch_index)
        return (image[start : start + length].clone(),)


class GetImageSize:
    """Width and height of a picture in pixels, and how many there are."""

    RETURN_TYPES = ("INT", "INT", "INT")
    RETURN_NAMES = ("width", "height", "batch_size")
    FUNCTION = "get_size"
    CATEGORY = "image"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"image": ("IMAGE",)}}

    def get_size(self, image: Tensor) -> tuple[int, int, int]:
        count, height, width = image.shape[:3]
        return width, height, count


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "GetImageSize": GetImageSize,
    "EmptyImage": EmptyImage,
    "ImageInvert": ImageInvert,
    "ImageBatch": ImageBatch,
    "ImageCrop": ImageCrop,
    "ImageFlip": ImageFlip,
    "ImageRotate": ImageRotate,
    "RepeatImageBatch": RepeatImageBatch,
    "ImageFromBatch": ImageFromBatch,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "GetImageSize": "Get Image Size",
    "ImageInvert": "Invert Image",
    "ImageBatch": "Batch Images",
    "ImageCrop": "Image Crop",
}
