"""Jobs for the worker in this process: by priority, one at a time, and again when they come back."""

from __future__ import annotations

import itertools
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from runtime.cancellation import CancelFlag
from runtime.clock import Clock
from runtime.documents.store import DocumentStore
from runtime.errors import InvalidRequest, ServerlessError
from runtime.jobs.record import Dispatch, JobKey
from runtime.jobs.store import JobStore
from runtime.progress import Progress
from runtime.request import JobRequest

if TYPE_CHECKING:
    from runtime.gpu_thread import GpuThread
    from runtime.result import JobResult

_log = logging.getLogger(__name__)

_LOOK_EVERY_S = 0.5  # how exactly a job begins that waits for its next attempt
_COLLECTION = "local queue"
_RANK = {"high": 0, "normal": 1, "low": 2}

OnEvent = Callable[[JobKey, "Progress | None"], None]
"""Called on the worker's threads: a job's progress, or None when it has left the worker."""


@dataclass(kw_only=True)
class _Waiting:
    rank: int
    number: int
    not_before: float
    key: JobKey
    request: JobRequest
    context: Context = field(default_factory=copy_context)


class LocalDispatcher:
    """The queue before one GpuThread. What waits in it is listed in the document store: a restart finds it again.

    Among jobs of one priority the tenants take turns, each with its oldest: who queues many waits behind their own.
    """

    within_s = 86_400.0

    def __init__(
        self, gpu: GpuThread, jobs: JobStore, documents: DocumentStore, *, clock: Clock, on_event: OnEvent
    ) -> None:
        self.dispatch = Dispatch(backend="local")
        self._gpu = gpu
        self._jobs = jobs
        self._documents = documents
        self._clock = clock
        self._on_event = on_event
        self._numbers = itertools.count(1)
        self._changed = threading.Condition()
        self._waiting: list[_Waiting] = []
        self._turns: dict[str, int] = {}
        self._known: set[JobKey] = set()
        self._running: tuple[JobKey, CancelFlag] | None = None
        self._closed = False
        self._thread = threading.Thread(target=self._loop, name="local-dispatch", daemon=True)

    def start(self) -> None:
        """Begin to run jobs."""
        self._thread.start()

    def close(self) -> None:
        """Begin no more jobs; the one that runs is handed back. What waits stays in the store."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._gpu.hand_back()
        if self._thread.is_alive():
            self._thread.join()

    def check(self, request: JobRequest) -> None:
        """All can be brought: a request waits in this process's memory, its API key with it."""

    def send(self, key: JobKey, request: JobRequest) -> None:
        self._documents.put(_COLLECTION, str(key), {"priority": request.priority})
        self._push(key, request, not_before=0.0)

    def cancel(self, key: JobKey) -> None:
        with self._changed:
            if self._running is not None and self._running[0] == key:
                self._running[1].set()

    @property
    def depth(self) -> int:
        """How many jobs wait here."""
        with self._changed:
            return len(self._waiting)

    def _push(self, key: JobKey, request: JobRequest, *, not_before: float) -> None:
        with self._changed:
            if key in self._known:
                return
            self._known.add(key)
            number = next(self._numbers)
            rank = _RANK[request.priority]
            self._waiting.append(_Waiting(rank=rank, number=number, not_before=not_before, key=key, request=request))
            self._changed.notify_all()

    def _loop(self) -> None:
        try:
            self._resume()
        except ServerlessError as exc:
            _log.error("jobs that waited before this start stay in the store: %s", exc.message)
        while not self._closed:
            waiting = self._next()
            if waiting is not None:
                self._run(waiting)

    def _next(self) -> _Waiting | None:
        """The first that may run now; None after a while in which there was none."""
        with self._changed:
            ready = [waiting for waiting in self._waiting if waiting.not_before <= self._clock.monotonic()]
            if not ready:
                self._changed.wait(timeout=_LOOK_EVERY_S if self._waiting else None)
                return None
            first = min(ready, key=lambda waiting: (waiting.rank, self._turn_of(waiting), waiting.number))
            self._waiting.remove(first)
            tenants = {waiting.key.tenant for waiting in self._waiting}
            self._turns = {tenant: turn for tenant, turn in self._turns.items() if tenant in tenants}
            self._turns[first.key.tenant] = next(self._numbers)
            self._running = (first.key, CancelFlag())
            return first

    def _turn_of(self, waiting: _Waiting) -> int:
        """When the job's tenant last had its turn; 0 for one who waits for the first."""
        return self._turns.get(waiting.key.tenant, 0)

    def _run(self, waiting: _Waiting) -> None:
        key, request = waiting.key, waiting.request
        flag = self._running[1] if self._running else CancelFlag()
        job: Future[JobResult] = waiting.context.run(
            self._gpu.submit,
            request.model_copy(update={"job_id": key.job_id}),
            cancel=flag,
            on_progress=lambda progress: self._on_event(key, progress),
            dispatch=self.dispatch,
            requeue="anywhere",
            tenant=key.tenant,
        )
        try:
            result = job.result()
        except BaseException:  # the worker could not be built, and every job would fail so; each stays in the store
            _log.exception("job %s could not be run", key.job_id)
            result = None
        with self._changed:
            self._running = None
            self._known.discard(key)
        self._on_event(key, None)
        if result is None:  # it stays in the list: the next start, of a worker that can be built, finds it there
            return
        if result.retry_after_s is None:
            self._forget(key)
        elif not self._closed:
            self._push(key, request, not_before=self._clock.monotonic() + result.retry_after_s)

    def _forget(self, key: JobKey) -> None:
        try:
            self._documents.delete(_COLLECTION, str(key))
        except ServerlessError as exc:  # the next start looks at the job, finds it ended and forgets it then
            _log.warning("job %s is still in the queue's list: %s", key.job_id, exc.message)

    def _resume(self) -> None:
        """Take in what waited, or ran, when the process ended that had it."""
        after: str | None = None
        while page := self._documents.list(_COLLECTION, after=after):
            for document in page:
                self._take_in(document.name)
            after = page[-1].name

    def _take_in(self, name: str) -> None:
        key = JobKey(*name.split("#", 1))
        record = self._jobs.get(*key)
        text = self._jobs.request_of(*key) if record is not None and not record.status.is_terminal else None
        if text is None:
            self._documents.delete(_COLLECTION, name)
            return
        try:
            request, _ = JobRequest.parse(text)
        except InvalidRequest as exc:  # of another release's: it holds up no other, and ends by its dispatch deadline
            _log.error("job %s is left out, its stored request cannot be read: %s", key.job_id, exc.message)
            return
        self._push(key, request, not_before=0.0)
