"""What is cut off planes so that they have other proportions."""

from __future__ import annotations

from torch import Tensor


def cut_to_aspect(planes: Tensor, width: int, height: int) -> Tensor:
    """The middle of `planes` (B, C, h, w) that has the proportions of `width` by `height`."""
    old_height, old_width = planes.shape[-2:]
    old, new = old_width / old_height, width / height
    left = round((old_width - old_width * (new / old)) / 2) if old > new else 0
    top = round((old_height - old_height * (old / new)) / 2) if old < new else 0
    return planes[..., top : old_height - top, left : old_width - left]
