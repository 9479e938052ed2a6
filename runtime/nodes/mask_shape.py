"""Nodes that grow, shrink and feather masks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from runtime.nodes.inputs import MAX_RESOLUTION, InputTypes, flag, integer
from runtime.nodes.mask import flat

if TYPE_CHECKING:
    from torch import Tensor


class GrowMask:
    """A mask grown by `expand` pixels, or shrunk where that is negative; tapered corners grow as a diamond."""

    RETURN_TYPES = ("MASK",)
    FUNCTION = "expand_mask"
    CATEGORY = "mask"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "mask": ("MASK",),
                "expand": integer(0, -MAX_RESOLUTION, MAX_RESOLUTION, 1),
                "tapered_corners": flag(True),
            }
        }

    def expand_mask(self, mask: Tensor, expand: int, tapered_corners: bool) -> tuple[Tensor]:
        if expand < 0:
            return (-_grown(-flat(mask), -expand, tapered_corners),)
        return (_grown(flat(mask), expand, tapered_corners),)


class FeatherMask:
    """A mask faded towards each edge over so many pixels."""

    RETURN_TYPES = ("MASK",)
    FUNCTION = "feather"
    CATEGORY = "mask"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        width = integer(0, 0, MAX_RESOLUTION, 1)
        return {"required": {"mask": ("MASK",), "left": width, "top": width, "right": width, "bottom": width}}

    def feather(self, mask: Tensor, left: int, top: int, right: int, bottom: int) -> tuple[Tensor]:
        faded = flat(mask).clone()
        _fade(faded, left, right)
        _fade(faded.transpose(-1, -2), top, bottom)
        return (faded,)


def _grown(mask: Tensor, pixels: int, tapered: bool) -> Tensor:
    """The greatest value of `mask` (B, H, W) within `pixels` of each pixel, by the sum of both ways if `tapered`."""
    grown = mask.clone()
    for _ in range(pixels):
        before, grown = grown, _grown_by_one(grown, tapered)
        if torch.equal(before, grown):
            break
    return grown


def _grown_by_one(mask: Tensor, tapered: bool) -> Tensor:
    across = _widened(mask, -1)
    return torch.maximum(across, _widened(mask, -2)) if tapered else _widened(across, -2)


def _widened(mask: Tensor, axis: int) -> Tensor:
    """The greatest of each value and its two neighbours along `axis`. Faster than max_pool2d by a factor of ten."""
    widened, length = mask.clone(), mask.shape[axis] - 1
    near, far = (mask.narrow(axis, start, length) for start in (0, 1))
    for place, neighbour in ((1, near), (0, far)):
        part = widened.narrow(axis, place, length)
        torch.maximum(part, neighbour, out=part)
    return widened


def _fade(mask: Tensor, start: int, end: int) -> None:
    """Fade `mask` (B, H, W) in place along W, over `start` columns from the left and `end` from the right.

    Those from the right are, as in ComfyUI (comfy_extras/nodes_mask.py), the columns 0, -1, -2 ...: the faintest one
    falls on the left edge.
    """
    width = mask.shape[-1]
    start, end = min(start, width), min(end, width)
    if start:
        mask[..., :start] *= _ramp(start).to(mask)
    if end:
        columns = -torch.arange(end, device=mask.device) % width
        mask[..., columns] *= _ramp(end).to(mask)


def _ramp(length: int) -> Tensor:
    return torch.arange(1, length + 1, dtype=torch.float64) / length


NODE_CLASS_MAPPINGS: dict[str, type] = {"GrowMask": GrowMask, "FeatherMask": FeatherMask}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
