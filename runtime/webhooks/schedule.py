"""How often a webhook is tried, and when."""

from __future__ import annotations

import random
from collections.abc import Callable

_MINUTE_S = 60.0
_HOUR_S = 3600.0

DELAYS_S = (
    *(15.0, _MINUTE_S, 5 * _MINUTE_S, 15 * _MINUTE_S),
    *(_HOUR_S, 2 * _HOUR_S, 4 * _HOUR_S, 6 * _HOUR_S, 8 * _HOUR_S),
)
"""The longest pause after each try that failed; the one that follows the last of them is the last: some 11 to 22 h."""


def next_try(tries: int, *, now: float, draw: Callable[[], float] = random.random) -> float | None:
    """When to try again after `tries` that failed, in epoch seconds; None to give up.

    The pause is drawn from its upper half: receivers that were away together are not called together.
    """
    if tries > len(DELAYS_S):
        return None
    return now + DELAYS_S[tries - 1] * (1 + draw()) / 2
