"""Nodes that make a latent, resize it, or say which part of it to denoise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from runtime.nodes.inputs import MAX_RESOLUTION, InputTypes, Latent, choice, decimal, integer
from runtime.nodes.pictures import LATENT_SCALE, Pictures
from runtime.nodes.resize import CROPS, LATENT_METHODS, resize

if TYPE_CHECKING:
    from torch import Tensor

LATENT_CHANNELS = 4
PIXELS = LATENT_SCALE
SHORTEST = 64  # pixels, the shortest side that LatentUpscale gives


class EmptyLatentImage:
    """A latent of zeros for `batch_size` pictures of `width` by `height` pixels."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "generate"
    CATEGORY = "latent"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "width": integer(512, 16, MAX_RESOLUTION, 8),
                "height": integer(512, 16, MAX_RESOLUTION, 8),
                "batch_size": integer(1, 1, 4096),
            }
        }

    @staticmethod
    def PICTURES(width: int, height: int, batch_size: int = 1) -> Pictures:
        return Pictures(batch_size, height, width)

    def generate(self, width: int, height: int, batch_size: int = 1) -> tuple[Latent]:
        return ({"samples": torch.zeros(batch_size, LATENT_CHANNELS, height // PIXELS, width // PIXELS)},)


class LatentUpscale:
    """A latent resized to a picture of `width` by `height` pixels; a side of 0 follows the other."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "upscale"
    CATEGORY = "latent"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "samples": ("LATENT",),
                "upscale_method": choice(*LATENT_METHODS),
                "width": integer(512, 0, MAX_RESOLUTION, 8),
                "height": integer(512, 0, MAX_RESOLUTION, 8),
                "crop": choice(*CROPS),
            }
        }

    @staticmethod
    def PICTURES(samples: Latent, width: int, height: int, **_: object) -> Pictures:
        latent: Tensor = samples["samples"]
        width, height = _sides(latent, width, height)
        return Pictures(latent.shape[0], height, width)

    def upscale(self, samples: Latent, upscale_method: str, width: int, height: int, crop: str) -> tuple[Latent]:
        if width == 0 and height == 0:
            return (samples,)
        latent: Tensor = samples["samples"]
        width, height = _sides(latent, width, height)
        return ({**samples, "samples": resize(latent, width // PIXELS, height // PIXELS, upscale_method, crop)},)


class LatentUpscaleBy:
    """A latent with both its sides times `scale_by`."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "upscale"
    CATEGORY = "latent"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "samples": ("LATENT",),
                "upscale_method": choice(*LATENT_METHODS),
                "scale_by": decimal(1.5, 0.01, 8.0, 0.01),
            }
        }

    @staticmethod
    def PICTURES(samples: Latent, scale_by: float, **_: object) -> Pictures:
        latent: Tensor = samples["samples"]
        return Pictures(latent.shape[0], *(round(side * scale_by) * PIXELS for side in latent.shape[-2:]))

    def upscale(self, samples: Latent, upscale_method: str, scale_by: float) -> tuple[Latent]:
        latent: Tensor = samples["samples"]
        height, width = (round(side * scale_by) for side in latent.shape[-2:])
        return ({**samples, "samples": resize(latent, width, height, upscale_method)},)


class SetLatentNoiseMask:
    """A latent that is denoised only where the mask is above 0."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "set_mask"
    CATEGORY = "latent/inpaint"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"samples": ("LATENT",), "mask": ("MASK",)}}

    def set_mask(self, samples: Latent, mask: Tensor) -> tuple[Latent]:
        return ({**samples, "noise_mask": mask.reshape(-1, 1, *mask.shape[-2:])},)


def _sides(latent: Tensor, width: int, height: int) -> tuple[int, int]:
    """The new width and height in pixels, none under 64; the one that is 0 keeps the proportions of `latent`."""
    old_height, old_width = latent.shape[-2:]
    if width == 0:
        height = max(SHORTEST, height)
        return max(SHORTEST, round(old_width * height / old_height)), height
    width = max(SHORTEST, width)
    if height == 0:
        return width, max(SHORTEST, round(old_height * width / old_width))
    return width, max(SHORTEST, height)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "EmptyLatentImage": EmptyLatentImage,
    "LatentUpscale": LatentUpscale,
    "LatentUpscaleBy": LatentUpscaleBy,
    "SetLatentNoiseMask": SetLatentNoiseMask,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "EmptyLatentImage": "Empty Latent Image",
    "LatentUpscale": "Upscale Latent",
    "LatentUpscaleBy": "Upscale Latent By",
    "SetLatentNoiseMask": "Set Latent Noise Mask",
}
