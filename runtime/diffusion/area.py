"""A rectangle of a latent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from runtime.errors import InvalidRequest

_FEATHER = 8  # over how many latent pixels the weight of an area rises from its edge
_LEAST_SIDE = 8  # of an area drawn around a mask, in latent pixels


@dataclass(frozen=True, kw_only=True)
class Area:
    """`height` by `width` latent pixels with their corner at row `y` and column `x`."""

    height: int
    width: int
    y: int
    x: int

    @classmethod
    def from_option(cls, area: Sequence[int | float | str], height: int, width: int) -> Area:
        """A conditioning's `area` on a latent `height` by `width`: (h, w, y, x), or "percentage" and shares."""
        if area[0] != "percentage":
            rows, columns, y, x = (int(number) for number in area)
            return cls(height=rows, width=columns, y=y, x=x)
        rows_share, columns_share, y_share, x_share = (float(share) for share in area[1:])
        return cls(
            height=max(1, round(rows_share * height)),
            width=max(1, round(columns_share * width)),
            y=round(y_share * height),
            x=round(x_share * width),
        )

    @classmethod
    def around(cls, mask: Tensor) -> Area:
        """The smallest area that holds all of `mask` (b, h, w) that is not 0, at least 8 by 8."""
        rows, columns = torch.nonzero(mask.abs().amax(dim=0), as_tuple=True)
        if len(rows) == 0:
            return cls(height=_LEAST_SIDE, width=_LEAST_SIDE, y=0, x=0)
        top, left = int(rows.min()), int(columns.min())
        return cls(
            height=max(_LEAST_SIDE, int(rows.max()) - top + 1),
            width=max(_LEAST_SIDE, int(columns.max()) - left + 1),
            y=top,
            x=left,
        )

    @property
    def pixels(self) -> int:
        return self.height * self.width

    def within(self, other: Area) -> bool:
        """Whether every pixel of this area lies in `other`."""
        return (
            self.y >= other.y
            and self.x >= other.x
            and self.y + self.height <= other.y + other.height
            and self.x + self.width <= other.x + other.width
        )

    def clipped(self, height: int, width: int) -> Area:
        """What of this area lies in a latent `height` by `width`. Raises InvalidRequest where that is nothing."""
        rows, columns = min(height - self.y, self.height), min(width - self.x, self.width)
        if rows < 1 or columns < 1 or self.y < 0 or self.x < 0:
            raise InvalidRequest(
                f"a conditioning's area of {self.height} by {self.width} at row {self.y}, column {self.x} lies outside "
                f"the latent of {height} by {width} (all in latent pixels, 8 pixels of the picture each)"
            )
        return Area(height=rows, width=columns, y=self.y, x=self.x)

    def of(self, planes: Tensor) -> Tensor:
        """The view of this area in `planes` (..., h, w)."""
        return planes[..., self.y : self.y + self.height, self.x : self.x + self.width]

    def feathered(self, height: int, width: int) -> Tensor:
        """Weights (height, width of the area) that fall toward each edge which is not the edge of the latent too."""
        rows = _ramp(self.height, before=self.y > 0, after=self.y + self.height < height)
        columns = _ramp(self.width, before=self.x > 0, after=self.x + self.width < width)
        return rows[:, None] * columns


def _ramp(length: int, *, before: bool, after: bool) -> Tensor:
    """`length` weights of 1, but for a rise from the beginning and a fall to the end over at most a quarter of them."""
    weights, reach = torch.ones(length), min(_FEATHER, length // 4)
    rise = torch.arange(1, reach + 1) / max(reach, 1)
    if before:
        weights[:reach] *= rise
    if after:
        weights[length - reach :] *= rise.flip(0)
    return weights
