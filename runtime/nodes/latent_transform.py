"""Nodes that turn, mirror, cut and join latents in place."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from runtime.nodes.inputs import MAX_RESOLUTION, InputTypes, Latent, choice, integer
from runtime.nodes.latent import PIXELS
from runtime.nodes.latent_batch import repeated_to

if TYPE_CHECKING:
    from torch import Tensor

QUARTER_TURNS = {"none": 0, "90 degrees": 1, "180 degrees": 2, "270 degrees": 3}
MIRRORS = {"x-axis: vertically": -2, "y-axis: horizontally": -1}  # the axis of (B, C, h, w) that is turned round
AXES = {"x": -1, "y": -2, "t": -3}
_LEAST = 8  # latent steps that LatentCrop leaves on each side


class LatentRotate:
    """Latents turned clockwise."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "rotate"
    CATEGORY = "latent/transform"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"samples": ("LATENT",), "rotation": choice(*QUARTER_TURNS)}}

    def rotate(self, samples: Latent, rotation: str) -> tuple[Latent]:
        return ({**samples, "samples": torch.rot90(samples["samples"], QUARTER_TURNS[rotation], (3, 2))},)


class LatentFlip:
    """Latents mirrored."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "flip"
    CATEGORY = "latent/transform"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"samples": ("LATENT",), "flip_method": choice(*MIRRORS)}}

    def flip(self, samples: Latent, flip_method: str) -> tuple[Latent]:
        return ({**samples, "samples": torch.flip(samples["samples"], (MIRRORS[flip_method],))},)


class LatentCrop:
    """A rectangle of latents, in pixels of the picture; its corner stays 64 pixels away from the far edges."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "crop"
    CATEGORY = "latent/transform"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "samples": ("LATENT",),
                "width": integer(512, 64, MAX_RESOLUTION, 8),
                "height": integer(512, 64, MAX_RESOLUTION, 8),
                "x": integer(0, 0, MAX_RESOLUTION, 8),
                "y": integer(0, 0, MAX_RESOLUTION, 8),
            }
        }

    def crop(self, samples: Latent, width: int, height: int, x: int, y: int) -> tuple[Latent]:
        latent: Tensor = samples["samples"]
        rows, columns = latent.shape[-2:]
        # below nothing in a latent that is smaller: as in ComfyUI the corner then counts from the far edge
        top, left = min(y // PIXELS, rows - _LEAST), min(x // PIXELS, columns - _LEAST)
        cut = latent[..., top : top + height // PIXELS, left : left + width // PIXELS]
        return ({**samples, "samples": cut},)


class LatentConcat:
    """Two latents side by side along an axis; a minus puts the second one first."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "concat"
    CATEGORY = "latent/advanced"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "samples1": ("LATENT",),
                "samples2": ("LATENT",),
                "dim": choice("x", "-x", "y", "-y", "t", "-t"),
            }
        }

    def concat(self, samples1: Latent, samples2: Latent, dim: str) -> tuple[Latent]:
        first: Tensor = samples1["samples"]
        second = repeated_to(samples2["samples"], first.shape[0])
        pair = (second, first) if dim.startswith("-") else (first, second)
        return ({**samples1, "samples": torch.cat(pair, dim=AXES[dim.removeprefix("-")])},)


class LatentCut:
    """`amount` latent steps along an axis from `index` on, counted from the end where it is negative."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "cut"
    CATEGORY = "latent/advanced"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "samples": ("LATENT",),
                "dim": choice(*AXES),
                "index": integer(0, -MAX_RESOLUTION, MAX_RESOLUTION, 1),
                "amount": integer(1, 1, MAX_RESOLUTION, 1),
            }
        }

    def cut(self, samples: Latent, dim: str, index: int, amount: int) -> tuple[Latent]:
        latent: Tensor = samples["samples"]
        length = latent.shape[AXES[dim]]
        start = min(index, length - 1) if index >= 0 else max(0, length + index)
        return ({**samples, "samples": latent.narrow(AXES[dim], start, min(amount, length - start))},)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "LatentRotate": LatentRotate,
    "LatentFlip": LatentFlip,
    "LatentCrop": LatentCrop,
    "LatentConcat": LatentConcat,
    "LatentCut": LatentCut,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "LatentRotate": "Rotate Latent",
    "LatentFlip": "Flip Latent",
    "LatentCrop": "Crop Latent",
}
