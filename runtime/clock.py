"""What time it is: passed in wherever a lease, a deadline or a link depends on it."""

from __future__ import annotations

import time
from datetime import datetime, timezone
from typing import Protocol


class Clock(Protocol):
    """Two readings: one that machines compare, one that never jumps."""

    def wall(self) -> float:
        """Seconds since 1970 UTC. May be wrong by seconds, and may jump."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment. Never goes back; means nothing outside this process."""


class SystemClock:
    """The machine's own clock."""

    def wall(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()


class ManualClock:
    """A clock that stands until it is moved, for simulations and tests."""

    def __init__(self, wall: float = 1_800_000_000.0) -> None:
        self._wall = wall
        self._monotonic = 0.0

    def wall(self) -> float:
        return self._wall

    def monotonic(self) -> float:
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Let `seconds` pass on both readings."""
        self._wall += seconds
        self._monotonic += seconds


def utc_text(epoch_s: float) -> str:
    """`epoch_s` as ISO 8601 in UTC with microseconds: of fixed width, so that texts sort as the times do."""
    return datetime.fromtimestamp(epoch_s, timezone.utc).isoformat(timespec="microseconds").replace("+00:00", "Z")


def epoch_s(text: str) -> float:
    """Seconds since 1970 of what `utc_text` wrote."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
