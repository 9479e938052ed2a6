"""Nodes that paste one latent onto another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from runtime.nodes.composite import overlap, paste, stretched
from runtime.nodes.inputs import MAX_RESOLUTION, InputTypes, Latent, flag, integer
from runtime.nodes.latent import PIXELS

if TYPE_CHECKING:
    from torch import Tensor

_PLACE = integer(0, 0, MAX_RESOLUTION, 8)


class LatentComposite:
    """`samples_from` on `samples_to` at `x`, `y`, its inner edges faded over `feather`, all in pixels."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "composite"
    CATEGORY = "latent"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "samples_to": ("LATENT",),
                "samples_from": ("LATENT",),
                "x": _PLACE,
                "y": _PLACE,
                "feather": _PLACE,
            }
        }

    def composite(self, samples_to: Latent, samples_from: Latent, x: int, y: int, feather: int = 0) -> tuple[Latent]:
        below: Tensor = samples_to["samples"]
        above: Tensor = samples_from["samples"]
        place, part = overlap(below, above, x // PIXELS, y // PIXELS)
        covered, shown = below[(..., *place)], above[(..., *part)]
        pasted = below.clone()
        share = _feathered(below, place, feather // PIXELS)
        pasted[(..., *place)] = shown if share is None else shown * share + covered * (1.0 - share)
        return ({**samples_to, "samples": pasted},)


class LatentCompositeMasked:
    """`source` on `destination` at `x`, `y` in pixels, by its share in `mask` where there is one."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "composite"
    CATEGORY = "latent"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "destination": ("LATENT",),
                "source": ("LATENT",),
                "x": _PLACE,
                "y": _PLACE,
                "resize_source": flag(False),
            },
            "optional": {"mask": ("MASK",)},
        }

    def composite(
        self, destination: Latent, source: Latent, x: int, y: int, resize_source: bool, mask: Tensor | None = None
    ) -> tuple[Latent]:
        below: Tensor = destination["samples"]
        above = stretched(source["samples"], below) if resize_source else source["samples"]
        return ({**destination, "samples": paste(below, above, x // PIXELS, y // PIXELS, mask)},)


def _feathered(below: Tensor, place: tuple[slice, slice], feather: int) -> Tensor | None:
    """The share (h, w) of the pasted latent at each step of `place`; None where it is all of it.

    An edge fades over `feather` steps unless it lies on the edge of `below`.
    """
    if feather == 0:
        return None
    rows, columns = (
        _ramps(span, length, feather).to(below) for span, length in zip(place, below.shape[-2:], strict=True)
    )
    return rows[:, None] * columns[None, :]


def _ramps(span: slice, length: int, feather: int) -> Tensor:
    """The shares along one axis: up from `span`'s start, down to its end, where those lie inside of 0..`length`.

    A feather longer than the span fades some steps more than once, as it does in ComfyUI (nodes.py).
    """
    share = torch.ones(span.stop - span.start)
    for step in range(feather):
        rate = (1.0 / feather) * (step + 1)
        if span.start != 0:
            share[step : step + 1] *= rate
        if span.stop < length:
            share[len(share) - 1 - step : len(share) - step] *= rate
    return share


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "LatentComposite": LatentComposite,
    "LatentCompositeMasked": LatentCompositeMasked,
}
NODE_DISPLAY_NAME_MAPPINGS = {"LatentComposite": "Latent Composite"}
