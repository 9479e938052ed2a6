"""Pasting of one batch of planes onto another."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

from runtime.nodes.latent_batch import repeated_to

if TYPE_CHECKING:
    from torch import Tensor

Window = tuple[slice, slice]


def overlap(below: Tensor, above: Tensor, left: int, top: int) -> tuple[Window, Window]:
    """Where `above` (..., h, w), with its corner at `left` and `top` of `below` (..., H, W), and `below` overlap.

    Answers the rows and columns in `below`, then those in `above`; both are empty where the two do not meet.
    """
    rows_below, rows_above = _span(below.shape[-2], above.shape[-2], top)
    columns_below, columns_above = _span(below.shape[-1], above.shape[-1], left)
    return (rows_below, columns_below), (rows_above, columns_above)


def paste(below: Tensor, above: Tensor, left: int, top: int, mask: Tensor | None = None) -> Tensor:
    """A copy of `below` (B, C, H, W) with `above` (b, C, h, w) on it, all of it or by its share `mask` (b, h, w)."""
    pasted = below.clone()
    above = repeated_to(above.to(below.device), below.shape[0])
    place, part = overlap(below, above, left, top)
    shown = above[(..., *part)]
    if mask is not None:
        share = _fitted(mask.to(below.device), above)[(..., *part)]
        shown = share * shown + (1.0 - share) * below[(..., *place)]
    pasted[(..., *place)] = shown
    return pasted


def stretched(above: Tensor, below: Tensor) -> Tensor:
    """`above` (B, C, h, w) at the height and width of `below`."""
    return F.interpolate(above, size=below.shape[-2:], mode="bilinear")


def _span(below: int, above: int, offset: int) -> Window:
    start, end = max(0, offset), min(below, offset + above)
    end = max(start, end)
    return slice(start, end), slice(start - offset, end - offset)


def _fitted(mask: Tensor, above: Tensor) -> Tensor:
    planes = mask.reshape(-1, 1, *mask.shape[-2:])
    return repeated_to(stretched(planes, above), above.shape[0])
