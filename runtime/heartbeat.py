"""Keeps a running job's lease, and brings back what was asked of it meanwhile, from a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from runtime.cancellation import CancelFlag
from runtime.clock import Clock
from runtime.errors import Cancelled, LeaseLost, ServerlessError
from runtime.jobs.leases import RENEW_EVERY_S, Claim
from runtime.jobs.store import JobStore
from runtime.progress import Progress

_log = logging.getLogger(__name__)

TICK_S = 1.0
"""How often a cancel that arrived through the store is looked for."""


class Watched:
    """One running job, as the heartbeat sees it: its latest claim and its latest progress."""

    def __init__(self, claim: Claim, flag: CancelFlag, started: float) -> None:
        self.claim = claim
        self.flag = flag
        self.progress: Progress | None = None
        self.written: Progress | None = None
        self.renewed_at = started


class Heartbeat:
    """The thread. It never waits for the GPU thread; between them go immutable values and the cancel flag."""

    def __init__(self, store: JobStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._watched: Watched | None = None
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def watching(self, claim: Claim, flag: CancelFlag) -> Iterator[Watched]:
        """Keep `claim` alive and `flag` informed until the block ends."""
        watched = Watched(claim, flag, self._clock.monotonic())
        self._start()
        with self._wake:
            self._watched = watched
        try:
            yield watched
        finally:
            with self._wake:
                self._watched = None

    def close(self) -> None:
        """End the thread."""
        with self._wake:
            self._closed = True
            self._wake.notify_all()
        if self._thread is not None:
            self._thread.join()

    def beat(self, watched: Watched) -> None:
        """Write what is new of the job, or look whether it shall end."""
        now = self._clock.monotonic()
        progress = watched.progress
        try:
            if progress != watched.written or now - watched.renewed_at >= RENEW_EVERY_S:
                watched.claim = self._store.renew(watched.claim, progress)
                watched.written, watched.renewed_at = progress, now
                cancel = watched.claim.cancel_requested
            else:
                key = watched.claim.record.key
                found = self._store.get(*key)
                cancel = found is not None and found.cancel_requested
        except LeaseLost as exc:
            watched.flag.set(exc)
        except ServerlessError as exc:
            self._bear(watched, exc)
        else:
            if cancel:
                watched.flag.set(Cancelled("the job was cancelled on request"))

    def _bear(self, watched: Watched, exc: ServerlessError) -> None:
        """A store that does not answer ends the job only when its lease can no longer be relied on."""
        _log.warning("heartbeat: %s", exc.message)
        if not watched.claim.may_publish(self._clock.monotonic()):
            watched.flag.set(LeaseLost(f"the lease ran out while the job store did not answer: {exc.message}"))

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="heartbeat", daemon=True)
            self._thread.start()

    def _loop(self) -> None:
        seen: Watched | None = None
        while not self._wait():
            watched = self._watched
            if watched is not None and watched is seen:  # a job shorter than a tick costs no write
                self._guarded(self.beat, watched)
            seen = watched

    def _wait(self) -> bool:
        with self._wake:
            return self._wake.wait_for(lambda: self._closed, timeout=TICK_S)

    def _guarded(self, beat: Callable[[Watched], None], watched: Watched) -> None:
        try:
            beat(watched)
        except Exception:  # the thread outlives a defect, else every later job would lose its lease
            _log.exception("heartbeat failed")
