"""Rate limits, counted in the document store so that every instance agrees."""

from __future__ import annotations

from collections.abc import Mapping

from runtime.api.errors import RateLimited
from runtime.clock import Clock
from runtime.documents.store import DocumentStore

MINUTE_S, HOUR_S, DAY_S = 60, 3600, 86_400


class RateLimits:
    """At most so many requests of one tenant in each window: `bounds` by the window's seconds; 0 for no bound.

    Windows are fixed: they begin at whole minutes, hours and days in UTC. A request costs one write a bound.
    """

    def __init__(self, documents: DocumentStore, bounds: Mapping[int, int], *, clock: Clock) -> None:
        self._documents = documents
        self._bounds = {window_s: bound for window_s, bound in sorted(bounds.items()) if bound > 0}
        self._clock = clock

    def count(self, tenant: str) -> None:
        """Count one request. Raises RateLimited where it is one too many."""
        now = int(self._clock.wall())
        for window_s, bound in self._bounds.items():
            began = now - now % window_s
            ends = began + window_s
            name = f"{window_s} {began}"
            counted = self._documents.count(f"rates {tenant}", name, amount=1, at_most=bound, expires_at=ends)
            if counted is None:
                raise RateLimited(f"more than {bound} requests within {window_s} s", retry_after_s=ends - now)
