"""What is asked of many jobs together, on each store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from runtime.clock import ManualClock
from runtime.graph.likeness import likeness_of
from runtime.graph.workflow import parse_workflow
from runtime.jobs import dynamodb, statistics
from runtime.jobs.estimate import SAMPLES, estimate
from runtime.jobs.leases import Claim
from runtime.jobs.record import ANONYMOUS, JobFacts, Outcome, Status
from runtime.jobs.statistics import statistics_of
from runtime.jobs.store import JobStore

GRAPH = parse_workflow({"1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64}}})
LIKENESS = likeness_of(GRAPH)
Run = Callable[..., None]


@pytest.fixture
def run(store: JobStore, facts: JobFacts, clock: ManualClock) -> Run:
    """`run("name", seconds=3)`: a job that waited a second, and ended after so many."""

    def run(name: str, *, seconds: float = 1, status: Status = Status.COMPLETED, **changes: str) -> None:
        job = replace(facts, job_id=name, ttl_s=10 * 86_400, **{k: v for k, v in changes.items() if k != "likeness"})
        store.create(job, dispatch_by=clock.wall() + 600)
        clock.advance(1)
        claim = store.claim(job, worker_id="worker-a")
        assert isinstance(claim, Claim)
        clock.advance(seconds)
        likeness = changes.get("likeness", LIKENESS) if status is Status.COMPLETED else None
        outcome = Outcome(status=status, engine="native", gpu_seconds=seconds / 2, likeness=likeness)
        store.finish(claim, outcome)

    return run


def test_a_list_may_be_of_one_status(store: JobStore, run: Run) -> None:
    for number in range(6):
        run(f"job-{number}", status=Status.FAILED if number % 2 else Status.COMPLETED)
    first = store.list_by_user("acme", "ada", status=Status.FAILED, limit=2)
    assert [job.job_id for job in first.jobs] == ["job-5", "job-3"]
    rest = store.list_by_user("acme", "ada", status=Status.FAILED, limit=2, cursor=first.cursor)
    assert [job.job_id for job in rest.jobs] == ["job-1"]
    assert store.list_by_user("acme", "ada", status=Status.RUNNING).jobs == ()


def test_a_page_of_one_status_is_bounded_in_what_it_reads(
    open_dynalite: Callable[..., JobStore], facts: JobFacts, monkeypatch: pytest.MonkeyPatch, clock: ManualClock
) -> None:
    monkeypatch.setattr(dynamodb, "EXAMINED", 4)
    store = open_dynalite()
    for number in range(6):
        store.create(replace(facts, job_id=f"job-{number}"), dispatch_by=0)
        clock.advance(1)
    first = store.list_by_user("acme", "ada", status=Status.RUNNING)
    assert first.jobs == ()
    assert first.cursor is not None
    assert store.list_by_user("acme", "ada", status=Status.RUNNING, cursor=first.cursor).cursor is None


@pytest.mark.parametrize("user_id", ["ada", ANONYMOUS])
def test_statistics_count_a_user_s_jobs_of_a_period(
    store: JobStore, run: Run, clock: ManualClock, user_id: str
) -> None:
    run("before", user_id=user_id)
    clock.advance(3 * 86_400)
    since = clock.wall()
    for number, seconds in enumerate((1, 2, 3, 4)):
        run(f"job-{number}", seconds=seconds, user_id=user_id)
    run("failed", seconds=100, status=Status.FAILED, user_id=user_id)
    run("another-s", user_id="grace")
    until = clock.wall()
    run("after", user_id=user_id)
    found = statistics_of(store, "acme", user_id, since=since, until=until)
    assert (found.jobs, found.by_status, found.is_complete) == (5, {"completed": 4, "failed": 1}, True)
    assert found.duration_s is not None
    assert (found.duration_s.mean, found.duration_s.p50, found.duration_s.p90) == (2.5, 2.5, 3.7)
    assert found.queue_s is not None
    assert found.queue_s.p99 == 1.0
    assert found.gpu_seconds == 55.0


def test_statistics_of_nobody_are_empty(store: JobStore, clock: ManualClock) -> None:
    found = statistics_of(store, "acme", "nobody", since=0, until=clock.wall())
    assert (found.jobs, found.by_status, found.duration_s, found.gpu_seconds) == (0, {}, None, 0)


def test_statistics_say_where_they_stop(store: JobStore, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MOST_JOBS", 3)
    monkeypatch.setattr(statistics, "_PAGE", 2)
    for number in range(5):
        run(f"job-{number}", seconds=number)
    found = statistics_of(store, "acme", "ada", since=0, until=4e9)
    assert (found.jobs, found.is_complete) == (3, False)
    assert found.duration_s is not None
    assert found.duration_s.p50 == 3.0  # the newest


def test_a_graph_is_estimated_by_those_like_it(store: JobStore, run: Run) -> None:
    for number, seconds in enumerate((10, 12, 20)):
        run(f"job-{number}", seconds=seconds)
    run("other", seconds=500, likeness="f" * 32)
    run("failed", seconds=500, status=Status.FAILED)
    run("another-s", seconds=500, tenant="globex")
    found = estimate(store, "acme", GRAPH, engine="native")
    assert found is not None
    assert (found.duration_s.samples, found.duration_s.p50, found.gpu_seconds.p50) == (3, 12.0, 6.0)
    assert (found.duration_s.p10, found.duration_s.p90) == (10.4, 18.4)
    assert estimate(store, "acme", GRAPH, engine="comfyui") is None


def test_the_last_jobs_alike_are_what_counts(store: JobStore, run: Run) -> None:
    for number in range(5):
        run(f"job-{number}")
    assert [job.job_id for job in store.list_alike("acme", "native", LIKENESS, limit=2)] == ["job-4", "job-3"]
    assert SAMPLES >= 30


def test_a_job_that_has_expired_is_like_none(store: JobStore, run: Run, clock: ManualClock) -> None:
    run("job-1")
    clock.advance(10 * 86_400)
    assert store.list_alike("acme", "native", LIKENESS) == []
