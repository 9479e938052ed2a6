"""In which order a worker looks into its queues."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Priority = Literal["high", "normal", "low"]

_USUAL: Sequence[Priority] = ("high", "normal", "low")
_FOR_NORMAL: Sequence[Priority] = ("normal", "high", "low")
_FOR_LOW: Sequence[Priority] = ("low", "normal", "high")


def order_of(turn: int) -> Sequence[Priority]:
    """The order of a worker's `turn`, counted from 0.

    Of eight turns six begin with high, one with normal and one with low: while every queue is full, each of the lower
    ones gets an eighth of the worker's jobs, and an empty queue leaves its turns to the others.
    """
    return {3: _FOR_NORMAL, 7: _FOR_LOW}.get(turn % 8, _USUAL)
