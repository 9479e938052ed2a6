"""The worker in this process, as the API's threads see it while the GPU thread builds it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from runtime.errors import StateUnavailable

if TYPE_CHECKING:
    from runtime.worker import Worker


class WorkerHere:
    """Remembers what became of building the worker."""

    def __init__(self, build: Callable[[], Worker]) -> None:
        self._build = build
        self._worker: Worker | None = None
        self._failure: Exception | None = None
        self._settled = threading.Event()

    def build(self) -> Worker:
        """Build it, on the calling thread."""
        try:
            self._worker = self._build()
        except Exception as exc:
            self._failure = exc
            raise
        finally:
            self._settled.set()
        return self._worker

    @property
    def is_built(self) -> bool:
        return self._worker is not None

    @property
    def worker(self) -> Worker:
        """The worker. Raises StateUnavailable while it loads, and where it could not be built."""
        if self._failure is not None:
            raise StateUnavailable(f"the worker could not be built: {self._failure}")
        if self._worker is None:
            raise StateUnavailable("the worker is still loading")
        return self._worker

    def when_built(self, within_s: float) -> Worker:
        """The worker, waited for while it loads. Raises StateUnavailable where it is not there by then."""
        self._settled.wait(within_s)
        return self.worker
