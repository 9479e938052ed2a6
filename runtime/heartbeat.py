"""Keeps a running job's lease, brings back what was asked of it meanwhile, and ends a job that does not stop.

It does so from a thread of its own, which never waits for the GPU thread.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial

from runtime.cancellation import CancelFlag
from runtime.clock import Clock
from runtime.errors import Cancelled, HandedBack, LeaseLost, ServerlessError
from runtime.jobs.leases import RENEW_EVERY_S, Claim
from runtime.jobs.record import Outcome
from runtime.jobs.store import JobStore
from runtime.process_end import end_process
from runtime.progress import Progress
from runtime.request import JobRequest

_log = logging.getLogger(__name__)

TICK_S = 1.0
"""How often a job is looked at: each tick costs one read, for a cancel that arrived through the store, or one write."""
PROGRESS_SHARE = 0.05
"""How much of a job's age lies between two writes of its progress, so that a long job costs few."""
CHORES_EVERY_S = 10.0
HAND_BACK_GRACE_S = 5.0
"""How long a job that shall be handed back has to stop: whoever reclaims a machine does not wait long."""


class Watched:
    """One running job, as the heartbeat sees it: its latest claim and its latest progress."""

    def __init__(self, claim: Claim, flag: CancelFlag, request: JobRequest, started: float) -> None:
        self.claim = claim
        self.flag = flag
        self.request = request
        self.progress: Progress | None = None
        self.written: Progress | None = None
        self.started = self.renewed_at = started
        self.ends_at: float | None = None
        self.context = copy_context()

    def is_due(self, now: float) -> bool:
        """Whether the lease or new progress is to be written."""
        since = now - self.renewed_at
        if since >= RENEW_EVERY_S:
            return True
        return self.progress != self.written and since >= PROGRESS_SHARE * (self.renewed_at - self.started)


class Heartbeat:
    """The thread. Between it and the GPU thread go immutable values and the cancel flag.

    A job that still runs `grace_s` seconds after its flag was set (HAND_BACK_GRACE_S where it shall be handed back) is
    one that cannot be interrupted: its end is written from here, and `end` ends the process. `chores` is called now and
    then while no job runs.
    """

    def __init__(
        self,
        store: JobStore,
        clock: Clock,
        *,
        grace_s: float = 30.0,
        chores: Callable[[], None] | None = None,
        end: Callable[[str], object] = end_process,
    ) -> None:
        self._store = store
        self._clock = clock
        self._grace_s = grace_s
        self._chores = chores
        self._chores_at = 0.0
        self._end = end
        self._watched: Watched | None = None
        self._wake = threading.Condition()
        self._thread: threading.Thread | None = None
        self._closed = False

    @contextmanager
    def watching(self, claim: Claim, flag: CancelFlag, request: JobRequest) -> Iterator[Watched]:
        """Keep `claim` alive and `flag` informed until the block ends; `request` is kept with a job handed back."""
        watched = Watched(claim, flag, request, self._clock.monotonic())
        with self._wake:
            self._watched = watched
        try:
            self._start()  # with the job in sight: a thread that saw none would begin with chores
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

    def tick(self, watched: Watched) -> None:
        """Look after the job once: beat, and end it where it shall stop and does not."""
        error = watched.flag.due()
        if error is not None:
            now = self._clock.monotonic()
            grace_s = min(self._grace_s, HAND_BACK_GRACE_S) if isinstance(error, HandedBack) else self._grace_s
            watched.ends_at = watched.ends_at or now + grace_s
            if now >= watched.ends_at:
                self._give_up(watched, error)
                return
        if not isinstance(error, LeaseLost):
            self.beat(watched)

    def beat(self, watched: Watched) -> None:
        """Write what is new of the job, or look whether it shall end."""
        now = self._clock.monotonic()
        progress = watched.progress
        try:
            if watched.is_due(now):
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

    def _give_up(self, watched: Watched, error: ServerlessError) -> None:
        with self._wake:
            if self._watched is not watched:  # it has stopped by itself
                return
        claim = watched.claim
        try:
            if isinstance(error, HandedBack):
                self._store.hand_back(claim, request=watched.request.to_text())
            elif not isinstance(error, LeaseLost):
                self._store.finish(claim, Outcome.of(error))
        except ServerlessError as exc:
            _log.error("the end of job %s could not be written: %s", claim.record.job_id, exc.message)
        self._end(f"job {claim.record.job_id} has not stopped within its grace period, after: {error.message}")

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
            if watched is None:
                self._guarded(self._do_chores)
            elif watched is seen:  # a job shorter than a tick costs no write
                self._guarded(partial(watched.context.run, self.tick, watched))
            seen = watched

    def _wait(self) -> bool:
        with self._wake:
            return self._wake.wait_for(lambda: self._closed, timeout=TICK_S)

    def _do_chores(self) -> None:
        now = self._clock.monotonic()
        if self._chores is None or now < self._chores_at:
            return
        self._chores_at = now + CHORES_EVERY_S
        try:
            self._chores()
        except ServerlessError as exc:
            _log.warning("%s", exc.message)

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except Exception:  # the thread outlives a defect, else every later job would lose its lease
            _log.exception("heartbeat failed")
