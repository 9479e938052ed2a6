"""Percentiles of a few numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor
from statistics import fmean


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How numbers lie, in their own unit: between two of them a percentile is interpolated."""

    samples: int
    mean: float
    p10: float
    p50: float
    p90: float
    p99: float


def spread_of(numbers: Sequence[float]) -> Spread | None:
    """The spread of `numbers`; None for none."""
    if not numbers:
        return None
    ordered = sorted(numbers)
    p10, p50, p90, p99 = (round(_percentile(ordered, share), 3) for share in (0.1, 0.5, 0.9, 0.99))
    return Spread(samples=len(ordered), mean=round(fmean(ordered), 3), p10=p10, p50=p50, p90=p90, p99=p99)


def _percentile(ordered: Sequence[float], share: float) -> float:
    """The number at `share` of the way from the least to the greatest (Hyndman and Fan's type 7, as numpy's)."""
    place = share * (len(ordered) - 1)
    below = floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (place - below) * (ordered[above] - ordered[below])
