"""The queue before the worker in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from runtime.api.dispatch.local import LocalDispatcher
from runtime.clock import SystemClock
from runtime.documents.sqlite import SqliteDocumentStore
from runtime.jobs.record import JobFacts, JobKey
from runtime.jobs.sqlite import SqliteJobStore
from runtime.request import JobRequest
from runtime.result import JobResult


class Gpu:
    """Ends each job when it is let, as it is told to."""

    def __init__(self) -> None:
        self.began: list[tuple[str, str]] = []
        self.open: dict[str, Future[JobResult]] = {}
        self.arrived = threading.Semaphore(0)

    def submit(self, request: JobRequest, *, cancel: Any, on_progress: Any, tenant: str, **_: Any) -> Any:
        self.began.append((tenant, str(request.job_id)))
        self.cancel = cancel
        self.open[str(request.job_id)] = job = Future()
        self.arrived.release()
        return job

    def end(self, job_id: str, **result: Any) -> None:
        self.open[job_id].set_result(JobResult(job_id=job_id, **{"status": "completed", **result}))

    def hand_back(self) -> None:
        for job_id, job in self.open.items():
            if not job.done():
                job.set_result(JobResult(job_id=job_id, status="pending", retry_after_s=0))


class Home:
    """One machine's stores, and as many starts of the dispatcher on them as a test makes."""

    def __init__(self, folder: Path) -> None:
        self.jobs = SqliteJobStore(folder / "jobs.db")
        self.documents = SqliteDocumentStore(folder / "documents.db")
        self.left: list[JobKey] = []
        self.is_left = threading.Semaphore(0)

    def note(self, key: JobKey, progress: Any) -> None:
        if progress is None:
            self.left.append(key)
            self.is_left.release()

    def dispatcher(self, gpu: Any) -> LocalDispatcher:
        return LocalDispatcher(gpu, self.jobs, self.documents, clock=SystemClock(), on_event=self.note)

    def send(self, dispatcher: LocalDispatcher, job_id: str, priority: str = "normal", *, tenant: str = "t") -> JobKey:
        request, _ = JobRequest.parse({"workflow": {}, "priority": priority})
        facts = JobFacts(tenant=tenant, job_id=job_id, request_sha256="r", workflow_sha256="w")
        self.jobs.create(facts, dispatch_by=2e9, request=request.to_text())
        dispatcher.send(facts.key, request)
        return facts.key


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    home = Home(tmp_path)
    yield home
    home.jobs.close()
    home.documents.close()


@pytest.fixture
def started(home: Home) -> Iterator[Callable[[], tuple[LocalDispatcher, Gpu]]]:
    life: list[LocalDispatcher] = []

    def start() -> tuple[LocalDispatcher, Gpu]:
        gpu = Gpu()
        life.append(home.dispatcher(gpu))
        life[-1].start()
        return life[-1], gpu

    yield start
    for dispatcher in life:
        dispatcher.close()


def test_the_highest_priority_runs_first_and_each_in_its_order(home: Home) -> None:
    gpu = Gpu()
    dispatcher = home.dispatcher(gpu)
    for job_id, priority in (("a", "low"), ("b", "normal"), ("c", "high"), ("d", "normal")):
        home.send(dispatcher, job_id, priority)
    dispatcher.start()
    for job_id in "cbda":
        gpu.arrived.acquire()
        gpu.end(job_id)
        home.is_left.acquire()
    dispatcher.close()
    assert gpu.began == [("t", "c"), ("t", "b"), ("t", "d"), ("t", "a")]


def test_tenants_take_turns_so_that_one_who_queues_many_holds_up_nobody(home: Home) -> None:
    gpu = Gpu()
    dispatcher = home.dispatcher(gpu)
    for tenant, job_id in (
        *(("many", f"m{number}") for number in range(4)),
        ("one", "o0"),
        ("two", "t0"),
        ("two", "t1"),
    ):
        home.send(dispatcher, job_id, tenant=tenant)
    dispatcher.start()
    for _ in range(7):
        gpu.arrived.acquire()
        gpu.end(gpu.began[-1][1])
        home.is_left.acquire()
    dispatcher.close()
    assert [job_id for _, job_id in gpu.began] == ["m0", "o0", "t0", "m1", "t1", "m2", "m3"]


def test_a_job_that_the_worker_could_not_begin_is_found_by_the_next_start(home: Home, started: Any) -> None:
    first, gpu = started()
    for job_id, failure in (("a", RuntimeError("no GPU")), ("b", SystemExit(1))):
        home.send(first, job_id)
        gpu.arrived.acquire()
        gpu.open[job_id].set_exception(failure)
        home.is_left.acquire()
    first.close()
    _, again = started()
    for _ in range(2):
        again.arrived.acquire()
        again.end(again.began[-1][1])
    assert again.began == [("t", "a"), ("t", "b")]


def test_a_stored_request_that_cannot_be_read_holds_up_no_other(home: Home, started: Any) -> None:
    first = home.dispatcher(Gpu())
    facts = JobFacts(tenant="t", job_id="a", request_sha256="r", workflow_sha256="w")
    home.jobs.create(facts, dispatch_by=2e9, request='{"workflow": {}, "of another release": 1}')
    first.send(facts.key, JobRequest(workflow={}))
    home.send(first, "b")
    _, gpu = started()
    gpu.arrived.acquire()
    gpu.end("b")
    assert gpu.began == [("t", "b")]


def test_a_job_that_was_sent_twice_runs_once(home: Home, started: Any) -> None:
    dispatcher, gpu = started()
    home.send(dispatcher, "a")
    gpu.arrived.acquire()
    home.send(dispatcher, "a")
    assert dispatcher.depth == 0
    gpu.end("a")


def test_a_job_that_is_to_come_again_runs_again(home: Home, started: Any) -> None:
    dispatcher, gpu = started()
    home.send(dispatcher, "a")
    gpu.arrived.acquire()
    gpu.end("a", status="pending", retry_after_s=0.01)
    gpu.arrived.acquire()
    gpu.end("a")
    assert gpu.began == [("t", "a"), ("t", "a")]


def test_what_waited_when_the_process_ended_runs_after_the_next_start(home: Home, started: Any) -> None:
    first, gpu = started()
    home.send(first, "running")
    gpu.arrived.acquire()
    home.send(first, "waiting")
    first.close()
    _, again = started()
    for _ in range(2):
        again.arrived.acquire()
        again.end(again.began[-1][1])
    assert sorted(again.began) == [("t", "running"), ("t", "waiting")]


def test_a_job_that_has_ended_is_not_run_after_the_next_start(home: Home, started: Any) -> None:
    first, gpu = started()
    key = home.send(first, "a")
    gpu.arrived.acquire()
    home.jobs.request_cancel(*key)
    first.close()
    second, again = started()
    home.send(second, "b")
    again.arrived.acquire()
    assert again.began == [("t", "b")]


def test_a_cancel_reaches_the_running_job_at_once(home: Home, started: Any) -> None:
    dispatcher, gpu = started()
    key = home.send(dispatcher, "a")
    gpu.arrived.acquire()
    dispatcher.cancel(JobKey("t", "other"))
    assert not gpu.cancel.is_set
    dispatcher.cancel(key)
    assert gpu.cancel.is_set
