"""The one thread that the GPU belongs to, and how asynchronous callers wait for it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextvars import copy_context
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from runtime.cancellation import CancelFlag
from runtime.cpu_threads import thread_count, wait_briefly
from runtime.errors import HandedBack
from runtime.process_end import end_process
from runtime.progress import ProgressSink, ignore_progress
from runtime.progress_relay import ProgressRelay

if TYPE_CHECKING:
    from runtime.jobs.record import Dispatch
    from runtime.reference import RequestReference
    from runtime.request import JobRequest
    from runtime.result import JobResult
    from runtime.retries import Requeue

LOOK_S = 5.0
"""How often a job that runs on another worker is looked at."""

AFTER_GRACE_S = 15.0
"""How much later than the worker's heartbeat, which writes a stuck job's end, this thread ends the process."""

_STOPPING = "the worker was told to stop"
_LOG = logging.getLogger(__name__)
_T = TypeVar("_T")


class RunsJobs(Protocol):
    """What the thread runs jobs with: `runtime.worker.Worker`."""

    def run(
        self,
        request: JobRequest | RequestReference,
        *,
        cancel: CancelFlag,
        on_progress: ProgressSink,
        dispatch: Dispatch | None,
        requeue: Requeue,
        tenant: str | None,
    ) -> JobResult:
        """The job's result, whatever became of it; a failed job is a result and not an exception."""

    def expect(self, request: JobRequest | RequestReference) -> None:
        """Told of a job that waits behind another; answers at once."""

    def free(self) -> None:
        """Give back the memory that no job uses."""

    def rest(self) -> None:
        """Told that nothing waits."""

    def close(self) -> None:
        """End what the worker started beside this thread."""


class GpuThread:
    """Runs one job at a time, in the order they came, on a thread of its own in torch's inference mode.

    The thread starts at once: it imports torch and calls `build_worker` while the caller goes on. If that fails,
    `ready` and every job raise what it raised. A job that has not left the thread `grace_s` seconds after its cancel
    ends the process with `process_end.STUCK_EXIT_STATUS`: a call into a kernel or a foreign node cannot be interrupted
    otherwise, and the next job must not wait behind it. (The worker's heartbeat, which also writes the job's end, is
    given less.) After `hand_back` every job is answered as handed back, and
    none begins.
    """

    def __init__(self, build_worker: Callable[[], RunsJobs], *, grace_s: float = 30.0 + AFTER_GRACE_S) -> None:
        self._grace_s = grace_s
        self._flags: set[CancelFlag] = set()
        self._is_stopping = False
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._worker: Future[RunsJobs] = Future()
        self._thread = threading.Thread(target=self._serve, args=(build_worker,), name="gpu", daemon=True)
        self._thread.start()

    def __enter__(self) -> GpuThread:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()

    async def ready(self) -> None:
        """Wait until the worker is built. Raises what building it raised."""
        await asyncio.shield(asyncio.wrap_future(self._worker))

    async def run(
        self,
        request: JobRequest | RequestReference,
        on_progress: ProgressSink = ignore_progress,
        *,
        dispatch: Dispatch | None = None,
        tenant: str | None = None,
    ) -> JobResult:
        """Run the job and answer its result, after all the attempts that it has.

        A job that the same `dispatch` began on another worker is waited for, and taken over when that one is gone;
        other jobs may run meanwhile. `on_progress` is called on the event loop's thread, at most once a second. When
        the awaiting task is cancelled, the job's flag is set, and `CancelledError` is raised again once the job has
        left the thread.
        """
        relay = ProgressRelay(on_progress, loop=asyncio.get_running_loop())
        while True:
            result = await self._attempt(request, relay, dispatch, tenant)
            if result.retry_after_s is None or self._is_stopping:
                return result
            if dispatch is None and request.job_id is None:  # else each attempt would be the first of a new job
                request = request.model_copy(update={"job_id": result.job_id})
            looked_at_in_s = result.retry_after_s if result.status == "pending" else min(result.retry_after_s, LOOK_S)
            try:
                await asyncio.sleep(looked_at_in_s)
            except asyncio.CancelledError:
                await self._withdraw(request, dispatch, tenant)
                raise

    async def _withdraw(
        self, request: JobRequest | RequestReference, dispatch: Dispatch | None, tenant: str | None
    ) -> None:
        """Cancel a job that waits for its next attempt or runs elsewhere, unless it is this worker that is to stop."""
        if self._is_stopping:
            return
        flag = CancelFlag()
        flag.set()
        job = self.submit(request, cancel=flag, dispatch=dispatch, requeue="here", tenant=tenant)
        await self._until_left(asyncio.wrap_future(job))

    async def _attempt(
        self,
        request: JobRequest | RequestReference,
        relay: ProgressSink,
        dispatch: Dispatch | None,
        tenant: str | None,
    ) -> JobResult:
        flag = CancelFlag()
        job = self.submit(request, cancel=flag, on_progress=relay, dispatch=dispatch, requeue="here", tenant=tenant)
        outcome = asyncio.wrap_future(job)
        try:
            return await asyncio.shield(outcome)
        except asyncio.CancelledError:
            flag.set()
            job.cancel()  # a job that still waits for its turn never starts
            await self._until_left(outcome)
            raise

    def submit(
        self,
        request: JobRequest | RequestReference,
        *,
        cancel: CancelFlag,
        on_progress: ProgressSink = ignore_progress,
        dispatch: Dispatch | None = None,
        requeue: Requeue = "never",
        tenant: str | None = None,
    ) -> Future[JobResult]:
        """Queue the job for one `Worker.run`; `on_progress` is called on the GPU thread."""
        job: Future[JobResult] = Future()
        self._flags.add(cancel)
        if self._is_stopping:
            cancel.set(HandedBack(_STOPPING))
        run = functools.partial(self._run, request, cancel, on_progress, dispatch, requeue, tenant)
        self._tasks.put(functools.partial(copy_context().run, _settle, job, run))  # whom it is for goes along
        job.add_done_callback(lambda _: self._flags.discard(cancel))
        self._tell_of_waiting(request)
        return job

    def _tell_of_waiting(self, request: JobRequest | RequestReference) -> None:
        """Where another job is before this one, the worker can load this one's models meanwhile."""
        is_built = self._worker.done() and self._worker.exception() is None
        if len(self._flags) > 1 and is_built and not self._is_stopping:
            self._worker.result().expect(request)

    def free(self) -> None:
        """Have the worker give memory back, after what is queued now."""
        self._tasks.put(functools.partial(_settle, Future(), lambda: self._worker.result().free()))

    def rest(self) -> None:
        """Let the worker know that nothing waits, after what is queued now."""
        self._tasks.put(functools.partial(_settle, Future(), lambda: self._worker.result().rest()))

    def hand_back(self) -> None:
        """Give every job back for another worker, the running one within a sampling step, and begin none any more.

        Returns at once. May be called from a signal handler.
        """
        self._is_stopping = True
        for flag in tuple(self._flags):
            flag.set(HandedBack(_STOPPING))

    def close(self) -> None:
        """End the thread and its worker once the queue is done; like a cancelled job they have `grace_s` seconds."""
        self._tasks.put(None)
        self._thread.join(self._grace_s)
        if self._thread.is_alive():
            end_process(f"the GPU thread still works {self._grace_s:g} s after it was closed")

    def _run(
        self,
        request: JobRequest | RequestReference,
        cancel: CancelFlag,
        on_progress: ProgressSink,
        dispatch: Dispatch | None,
        requeue: Requeue,
        tenant: str | None,
    ) -> JobResult:
        worker = self._worker.result()
        return worker.run(
            request, cancel=cancel, on_progress=on_progress, dispatch=dispatch, requeue=requeue, tenant=tenant
        )

    def _serve(self, build_worker: Callable[[], RunsJobs]) -> None:
        with contextlib.ExitStack() as life:
            _settle(self._worker, functools.partial(_prepare, life, build_worker))
            while (task := self._tasks.get()) is not None:
                task()
                del task  # a request may hold megabytes: it shall not outlive its job
            if self._worker.exception() is None:
                self._worker.result().close()

    async def _until_left(self, outcome: asyncio.Future[Any]) -> None:
        deadline = time.monotonic() + self._grace_s
        while not outcome.done():
            remaining_s = deadline - time.monotonic()
            if remaining_s <= 0:
                end_process(f"a cancelled job has not left the GPU thread within {self._grace_s:g} s")
            with contextlib.suppress(asyncio.CancelledError):  # a second cancel asks for nothing new
                await asyncio.wait({outcome}, timeout=remaining_s)
        if not outcome.cancelled() and (failure := outcome.exception()):
            _LOG.error("a cancelled job ended with %r", failure)


def _prepare(life: contextlib.ExitStack, build_worker: Callable[[], RunsJobs]) -> RunsJobs:
    """Import torch and build the worker, both in the inference mode that lasts as long as `life`."""
    wait_briefly()
    import torch

    gc.freeze()  # torch's objects live as long as the process: a full collection need not visit them
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(thread_count())
    life.enter_context(torch.inference_mode())
    return build_worker()


def _settle(future: Future[_T], function: Callable[[], _T]) -> None:
    """Call `function` and give `future` what it returns or raises, unless the future was cancelled before."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(function())
    except BaseException as exc:  # whatever it is, it belongs to whoever waits: the thread serves the next
        future.set_exception(exc)
    finally:
        del future, function  # else the exception's traceback, the frame and the future keep one another alive
