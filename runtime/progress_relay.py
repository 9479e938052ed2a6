"""Progress on its way from the GPU thread to an event loop."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable

from runtime.progress import Progress, ProgressSink


class ProgressRelay:
    """A sink for the GPU thread that calls `sink` on the loop's own thread, at most once each `interval_s` seconds.

    What comes sooner is dropped, unless it has a preview picture, which is rare enough already. A call neither waits
    nor raises: a loop that is closed has nobody who looks.
    """

    def __init__(
        self,
        sink: ProgressSink,
        *,
        loop: asyncio.AbstractEventLoop,
        interval_s: float = 1.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sink = sink
        self._loop = loop
        self._interval_s = interval_s
        self._clock = clock
        self._due = clock()

    def __call__(self, progress: Progress) -> None:
        now = self._clock()
        if now < self._due and progress.preview is None:
            return
        self._due = now + self._interval_s
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._sink, progress)
