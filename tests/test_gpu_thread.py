"""The GPU thread: one job at a time, cancels that wait for the job to leave, a process that ends when it does not."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
import torch

from runtime.cancellation import CancelFlag
from runtime.errors import Cancelled
from runtime.gpu_thread import GpuThread
from runtime.process_end import STUCK_EXIT_STATUS
from runtime.progress import Progress, ProgressSink

WAIT_S = 20.0

Body = Callable[[CancelFlag, ProgressSink], Any]


class Answer(NamedTuple):
    """What a job's function gave, in the place of a result."""

    value: Any
    status: str = "completed"
    retry_after_s: float | None = None
    job_id: str = "first"


class Again:
    """A job's function that has its id from the first attempt on, as a request has."""

    def __init__(self, body: Body, job_id: str | None = None) -> None:
        self.body, self.job_id = body, job_id

    def __call__(self, cancel: CancelFlag, on_progress: ProgressSink) -> Any:
        return self.body(cancel, on_progress)._replace(job_id=self.job_id or "first")

    def model_copy(self, *, update: dict[str, str]) -> Again:
        return Again(self.body, update["job_id"])


class Calls:
    """A worker whose requests are functions."""

    def run(self, request: Any, *, cancel: CancelFlag, on_progress: ProgressSink, **_: Any) -> Any:
        answer = request(cancel, on_progress)
        return answer if isinstance(answer, Answer) else Answer(answer)

    def expect(self, request: Any) -> None:
        """A function needs no models."""

    def close(self) -> None:
        """Nothing runs beside the thread."""


@contextmanager
def opened(**options: Any) -> Iterator[Any]:
    with GpuThread(Calls, **options) as gpu:
        yield gpu


class Gate:
    """A job that enters, then steps until it is cancelled; `leave` lets it finish what it does at its end."""

    def __init__(self) -> None:
        self.entered, self.leave, self.left = threading.Event(), threading.Event(), threading.Event()

    def __call__(self, cancel: CancelFlag, on_progress: ProgressSink) -> str:
        self.entered.set()
        while not cancel.is_set:
            self.leave.wait(0.01)
        assert self.leave.wait(WAIT_S)
        self.left.set()
        with pytest.raises(Cancelled):
            cancel.check()
        return "cancelled"


def test_a_job_runs_on_the_gpu_thread_in_inference_mode() -> None:
    with opened() as gpu:
        seen = asyncio.run(
            gpu.run(lambda *_: (threading.current_thread().name, torch.is_inference_mode_enabled()))
        ).value
    assert seen == ("gpu", True)
    assert not torch.is_inference_mode_enabled()


def test_the_worker_is_built_on_the_gpu_thread_before_the_first_job() -> None:
    built: list[tuple[str, bool]] = []

    def build() -> Calls:
        built.append((threading.current_thread().name, torch.is_inference_mode_enabled()))
        return Calls()

    with GpuThread(build) as gpu:
        asyncio.run(gpu.ready())
    assert built == [("gpu", True)]


def test_the_worker_is_closed_on_the_gpu_thread_once_the_queue_is_done() -> None:
    order: list[str] = []

    class Closed(Calls):
        def close(self) -> None:
            order.append(f"closed on {threading.current_thread().name}")

    with GpuThread(Closed) as gpu:
        gpu.submit(lambda *_: order.append("job"), cancel=CancelFlag())  # type: ignore[arg-type]  # any request
    assert order == ["job", "closed on gpu"]


def test_jobs_run_one_at_a_time_in_the_order_they_came() -> None:
    running, order = threading.Semaphore(1), []

    def job(number: int) -> Body:
        def body(cancel: CancelFlag, on_progress: ProgressSink) -> None:
            assert running.acquire(blocking=False)
            order.append(number)
            running.release()

        return body

    async def all_at_once() -> None:
        await asyncio.gather(*(gpu.run(job(number)) for number in range(20)))

    with opened() as gpu:
        asyncio.run(all_at_once())
    assert order == list(range(20))


def test_a_worker_that_cannot_be_built_fails_ready_and_every_job_with_its_reason() -> None:
    def build() -> Calls:
        raise ValueError("no such folder")

    with GpuThread(build) as gpu:
        for wait in (gpu.ready, lambda: gpu.run(lambda *_: None)):  # type: ignore[arg-type]  # any request
            with pytest.raises(ValueError, match="no such folder"):
                asyncio.run(wait())


@pytest.mark.parametrize("error", [RuntimeError("broken"), SystemExit(3)], ids=["exception", "exit"])
def test_whatever_a_job_raises_reaches_its_caller_and_the_next_job_runs(error: BaseException) -> None:
    def fail(cancel: CancelFlag, on_progress: ProgressSink) -> None:
        raise error

    with opened() as gpu:
        failed = gpu.submit(fail, cancel=CancelFlag())
        assert failed.exception(WAIT_S) is error
        assert asyncio.run(gpu.run(lambda *_: "right")).value == "right"


def test_a_cancelled_caller_sets_the_flag_and_returns_only_when_the_job_has_left() -> None:
    gate = Gate()

    async def scenario() -> None:
        task = asyncio.create_task(gpu.run(gate))
        await asyncio.to_thread(gate.entered.wait, WAIT_S)
        for _ in range(3):  # a second cancel must not cut the wait short
            task.cancel()
            assert await asyncio.wait({task}, timeout=0.05) == (set(), {task})
        gate.leave.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert gate.left.is_set()

    with opened() as gpu:
        asyncio.run(scenario())


def test_a_job_cancelled_while_it_waits_never_starts() -> None:
    gate = Gate()
    started: list[bool] = []

    async def scenario() -> None:
        first = asyncio.create_task(gpu.run(gate))
        await asyncio.to_thread(gate.entered.wait, WAIT_S)
        second = asyncio.create_task(gpu.run(lambda *_: started.append(True)))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        gate.leave.set()
        first.cancel()
        await asyncio.wait({first})

    with opened() as gpu:
        asyncio.run(scenario())
    assert not started


def test_progress_arrives_on_the_thread_of_the_event_loop() -> None:
    seen: list[tuple[str, Progress]] = []

    def job(cancel: CancelFlag, on_progress: ProgressSink) -> None:
        on_progress(Progress(node_id="3", step=1, steps=4))
        on_progress(Progress(node_id="3", step=2, steps=4))

    with opened() as gpu:
        asyncio.run(gpu.run(job, lambda progress: seen.append((threading.current_thread().name, progress))))
    assert seen == [("MainThread", Progress(node_id="3", step=1, steps=4))]


def test_a_sink_that_fails_does_not_fail_the_job(caplog: pytest.LogCaptureFixture) -> None:
    def job(cancel: CancelFlag, on_progress: ProgressSink) -> str:
        on_progress(Progress())
        return "right"

    def sink(progress: Progress) -> None:
        raise OSError("no route")

    with opened() as gpu:
        assert asyncio.run(gpu.run(job, sink)).value == "right"
    assert "no route" in caplog.text


def test_a_job_that_is_to_come_again_does() -> None:
    answers = [Answer(1, "pending", 0.01), Answer(2, "running", 0.01), Answer(3)]
    with opened() as gpu:
        assert asyncio.run(gpu.run(Again(lambda *_: answers.pop(0)))).value == 3


def test_every_attempt_of_a_job_without_an_id_is_of_the_one_that_the_first_began() -> None:
    ids: list[str | None] = []

    class Noted(Again):
        def __call__(self, cancel: CancelFlag, on_progress: ProgressSink) -> Any:
            ids.append(self.job_id)
            return super().__call__(cancel, on_progress)

        def model_copy(self, *, update: dict[str, str]) -> Again:
            return Noted(self.body, update["job_id"])

    answers = [Answer(1, "pending", 0.01), Answer(2, "pending", 0.01), Answer(3)]
    with opened() as gpu:
        asyncio.run(gpu.run(Noted(lambda *_: answers.pop(0))))
    assert ids == [None, "first", "first"]


@pytest.mark.parametrize("stops", [False, True], ids=["cancelled", "the worker stops"])
def test_a_job_cancelled_between_two_attempts_is_withdrawn_unless_the_worker_stops(stops: bool) -> None:
    reasons: list[Any] = []
    waits = threading.Event()

    def job(cancel: CancelFlag, on_progress: ProgressSink) -> Answer:
        reasons.append(cancel.reason)
        waits.set()
        return Answer(None, "pending", 100.0)

    async def scenario() -> None:
        task = asyncio.create_task(gpu.run(Again(job)))
        await asyncio.to_thread(waits.wait, WAIT_S)
        await asyncio.sleep(0.05)
        if stops:
            gpu.hand_back()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    with opened() as gpu:
        asyncio.run(scenario())
    assert [type(reason) for reason in reasons] == ([type(None)] if stops else [type(None), Cancelled])


def test_every_job_is_handed_back_at_once_and_none_begins_any_more() -> None:
    entered = threading.Event()

    def until_stopped(cancel: CancelFlag, on_progress: ProgressSink) -> str:
        entered.set()
        while not cancel.is_set:
            threading.Event().wait(0.01)
        return type(cancel.reason).__name__

    with opened() as gpu:
        jobs = [gpu.submit(until_stopped, cancel=CancelFlag()) for _ in range(2)]
        assert entered.wait(WAIT_S)
        gpu.hand_back()
        jobs.append(gpu.submit(until_stopped, cancel=CancelFlag()))
        assert [job.result(WAIT_S).value for job in jobs] == ["HandedBack"] * 3


STUCK = """
    import asyncio, threading
    from runtime.gpu_thread import GpuThread

    class Deaf:
        def run(self, request, **_):
            request.set()
            threading.Event().wait()

    async def cancelled(gpu):
        entered = threading.Event()
        job = asyncio.ensure_future(gpu.run(entered))
        await asyncio.to_thread(entered.wait)
        job.cancel()
        await job

    def closed(gpu):
        entered = threading.Event()
        gpu.submit(entered, cancel=None)
        entered.wait()
        gpu.close()

    gpu = GpuThread(Deaf, grace_s=0.2)
"""


@pytest.mark.parametrize(
    ("end", "reason"),
    [("asyncio.run(cancelled(gpu))", "a cancelled job has not left"), ("closed(gpu)", "after it was closed")],
    ids=["cancel", "close"],
)
def test_a_job_that_never_leaves_ends_the_process_and_says_where_it_stands(end: str, reason: str) -> None:
    script = textwrap.dedent(STUCK) + end
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == STUCK_EXIT_STATUS
    assert reason in ended.stderr
    assert "in run" in ended.stderr  # the stack of the thread that is stuck


def test_a_worker_is_told_of_a_job_that_waits_behind_another_and_of_no_other() -> None:
    expected: list[Any] = []

    def job(*_: Any) -> str:
        return "done"

    class Told(Calls):
        def expect(self, request: Any) -> None:
            expected.append(request)

    with GpuThread(Told) as gpu:
        gpu._worker.result()
        gate, stop = Gate(), CancelFlag()
        first = gpu.submit(gate, cancel=stop)
        gate.entered.wait()
        waiting = gpu.submit(job, cancel=CancelFlag())
        assert expected == [job]
        gate.leave.set()
        stop.set()
        assert (first.result().value, waiting.result().value) == ("cancelled", "done")
