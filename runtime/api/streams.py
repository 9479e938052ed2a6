"""Connections that are held open for an account: event streams, calls that wait, websockets."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from runtime.api.errors import RateLimited

_RETRY_S = 5


class Streams:
    """Counts them in this process, at most `most` of one tenant; 0 for no bound. For the event loop's thread alone."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._held: Counter[str] = Counter()

    def is_full(self, tenant: str) -> bool:
        """Whether the tenant has as many as it may."""
        return bool(self._most) and self._held[tenant] >= self._most

    def refuse_more(self, tenant: str) -> None:
        """Raise RateLimited where the tenant has as many as it may."""
        if self.is_full(tenant):
            raise RateLimited(
                f"{self._most} connections of this account are held open here, as many as may be (MAX_STREAMS)",
                retry_after_s=_RETRY_S,
            )

    @contextmanager
    def held(self, tenant: str) -> Iterator[None]:
        """One more, until the block ends."""
        self._held[tenant] += 1
        try:
            yield
        finally:
            self._held[tenant] -= 1
            if not self._held[tenant]:
                del self._held[tenant]
