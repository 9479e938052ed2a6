"""Nodes that lay masks over masks, and pictures over pictures by a mask."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch

from runtime.nodes.composite import overlap, paste, stretched
from runtime.nodes.image import with_channels_of
from runtime.nodes.inputs import MAX_RESOLUTION, InputTypes, choice, flag, integer
from runtime.nodes.mask import flat

if TYPE_CHECKING:
    from torch import Tensor

_PLACE = integer(0, 0, MAX_RESOLUTION, 1)


class MaskComposite:
    """`source` laid on `destination` at `x`, `y` in pixels; the three logical operations round both to 0 or 1."""

    RETURN_TYPES = ("MASK",)
    FUNCTION = "combine"
    CATEGORY = "mask"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "destination": ("MASK",),
                "source": ("MASK",),
                "x": _PLACE,
                "y": _PLACE,
                "operation": choice(*OPERATIONS),
            }
        }

    def combine(self, destination: Tensor, source: Tensor, x: int, y: int, operation: str) -> tuple[Tensor]:
        combined, above = flat(destination).clone(), flat(source)
        place, part = overlap(combined, above, x, y)
        combined[(..., *place)] = OPERATIONS[operation](combined[(..., *place)], above[(..., *part)])
        return (combined.clamp(0.0, 1.0),)


class ImageCompositeMasked:
    """`source` on `destination` at `x`, `y` in pixels, by its share in `mask` where there is one."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "composite"
    CATEGORY = "image"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "destination": ("IMAGE",),
                "source": ("IMAGE",),
                "x": _PLACE,
                "y": _PLACE,
                "resize_source": flag(False),
            },
            "optional": {"mask": ("MASK",)},
        }

    def composite(
        self, destination: Tensor, source: Tensor, x: int, y: int, resize_source: bool, mask: Tensor | None = None
    ) -> tuple[Tensor]:
        below = destination.movedim(-1, 1)
        above = with_channels_of(source, destination).movedim(-1, 1)
        above = stretched(above, below) if resize_source else above
        return (paste(below, above, x, y, mask).movedim(1, -1),)


def _on_truth(
    operation: Callable[[Tensor, Tensor], Tensor],
) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda below, above: operation(below.round().bool(), above.round().bool()).float()


OPERATIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "multiply": torch.mul,
    "add": torch.add,
    "subtract": torch.sub,
    "and": _on_truth(torch.logical_and),
    "or": _on_truth(torch.logical_or),
    "xor": _on_truth(torch.logical_xor),
}
NODE_CLASS_MAPPINGS: dict[str, type] = {
    "MaskComposite": MaskComposite,
    "ImageCompositeMasked": ImageCompositeMasked,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
