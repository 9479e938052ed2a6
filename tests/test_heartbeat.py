from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.cancellation import CancelFlag
from runtime.clock import ManualClock
from runtime.errors import Cancelled, HandedBack, LeaseLost, ServerlessError, StateUnavailable, TimedOut
from runtime.heartbeat import HAND_BACK_GRACE_S, Heartbeat, Watched
from runtime.jobs.leases import Claim
from runtime.jobs.record import JobFacts, Status
from runtime.jobs.sqlite import SqliteJobStore
from runtime.progress import Progress
from runtime.request import JobRequest

REQUEST = JobRequest(workflow={})
FACTS = JobFacts(tenant="t", job_id="j", request_sha256="r", workflow_sha256="w")


class Flaky:
    """A job store that does not answer while it is `down`, and has a defect while it is `broken`."""

    def __init__(self, store: SqliteJobStore) -> None:
        self.store = store
        self.down = self.broken = False
        self.calls: list[str] = []
        self.called = threading.Event()

    def renew(self, *arguments: Any) -> Any:
        return self._call("renew", *arguments)

    def get(self, *arguments: Any) -> Any:
        return self._call("get", *arguments)

    def finish(self, *arguments: Any) -> Any:
        return self._call("finish", *arguments)

    def hand_back(self, *arguments: Any, **options: Any) -> Any:
        return self._call("hand_back", *arguments, **options)

    def _call(self, name: str, *arguments: Any, **options: Any) -> Any:
        self.calls.append(name)
        self.called.set()
        if self.broken:
            raise ZeroDivisionError
        if self.down:
            raise StateUnavailable("the table does not answer")
        return getattr(self.store, name)(*arguments, **options)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def store(tmp_path: Path, clock: ManualClock) -> Iterator[Flaky]:
    jobs = SqliteJobStore(tmp_path / "jobs.db", clock=clock)
    yield Flaky(jobs)
    jobs.close()


@pytest.fixture
def heartbeat(store: Any, clock: ManualClock) -> Iterator[Heartbeat]:
    heartbeat = Heartbeat(store, clock)
    yield heartbeat
    heartbeat.close()


@pytest.fixture
def watched(store: Flaky, clock: ManualClock) -> Watched:
    claim = store.store.claim(FACTS, worker_id="me")
    assert isinstance(claim, Claim)
    return Watched(claim, CancelFlag(), REQUEST, clock.monotonic())


def progress(step: int) -> Progress:
    return Progress(node_id="3", class_type="KSampler", nodes_done=1, nodes_total=5, step=step, steps=20)


def test_a_job_with_no_news_is_only_looked_at(heartbeat: Heartbeat, store: Flaky, watched: Watched) -> None:
    heartbeat.beat(watched)
    assert store.calls == ["get"]
    assert not watched.flag.is_set


def test_the_lease_is_renewed_in_time(heartbeat: Any, store: Flaky, watched: Any, clock: ManualClock) -> None:
    for _ in range(10):
        clock.advance(20)
        heartbeat.beat(watched)
        assert watched.claim.may_publish(clock.monotonic())
    assert store.calls == ["renew"] * 10


def test_progress_is_written_once(heartbeat: Heartbeat, store: Flaky, watched: Watched) -> None:
    watched.progress = progress(4)
    heartbeat.beat(watched)
    heartbeat.beat(watched)
    assert store.calls == ["renew", "get"]
    record = store.store.get("t", "j")
    assert record is not None
    assert record.progress is not None
    assert (record.progress.node_id, record.progress.step, record.progress.nodes_total) == ("3", 4, 5)


@pytest.mark.parametrize("news", [None, progress(1)], ids=["while it looks", "while it writes"])
def test_a_cancel_that_arrives_through_the_store_ends_the_job(
    heartbeat: Heartbeat, store: Flaky, watched: Watched, news: Progress | None
) -> None:
    store.store.request_cancel("t", "j")
    watched.progress = news
    heartbeat.beat(watched)
    with pytest.raises(Cancelled):
        watched.flag.check()


def test_a_lost_lease_ends_the_job(heartbeat: Any, store: Flaky, watched: Any, clock: ManualClock) -> None:
    clock.advance(100)
    assert isinstance(store.store.claim(FACTS, worker_id="other"), Claim)
    heartbeat.beat(watched)
    with pytest.raises(LeaseLost):
        watched.flag.check()


def test_a_store_that_is_down_is_borne_while_the_lease_lasts(
    heartbeat: Heartbeat, store: Flaky, watched: Watched, clock: ManualClock
) -> None:
    store.down = True
    clock.advance(50)
    heartbeat.beat(watched)
    assert not watched.flag.is_set
    store.down = False
    heartbeat.beat(watched)
    assert watched.claim.may_publish(clock.monotonic() + 50)


def test_a_store_that_stays_down_ends_the_job_before_another_may_take_it(
    heartbeat: Heartbeat, store: Flaky, watched: Watched, clock: ManualClock
) -> None:
    store.down = True
    clock.advance(56)
    heartbeat.beat(watched)
    with pytest.raises(LeaseLost, match="the table does not answer"):
        watched.flag.check()


def test_a_node_that_computes_for_ten_minutes_keeps_its_lease(
    heartbeat: Heartbeat, store: Flaky, watched: Watched, clock: ManualClock
) -> None:
    for _ in range(600):
        clock.advance(1)
        heartbeat.tick(watched)
        assert not isinstance(store.store.claim(FACTS, worker_id="other"), Claim)
    assert not watched.flag.is_set


@pytest.mark.parametrize(
    ("seconds", "writes"), [(10, 10), (60, 37), (600, 83), (3600, 233)], ids=lambda value: f"{value}"
)
def test_a_job_of_any_length_costs_few_writes(
    heartbeat: Heartbeat, store: Flaky, watched: Watched, clock: ManualClock, seconds: int, writes: int
) -> None:
    for second in range(seconds):
        clock.advance(1)
        watched.progress = progress(second)
        heartbeat.tick(watched)
    assert (store.calls.count("renew"), store.calls.count("get")) == (writes, seconds - writes)


@pytest.fixture
def stuck(store: Any, clock: ManualClock) -> Iterator[tuple[Heartbeat, list[str]]]:
    """A heartbeat whose job does not stop, and the reasons for which it ended the process."""
    ends: list[str] = []
    heartbeat = Heartbeat(store, clock, grace_s=30, end=ends.append)
    yield heartbeat, ends
    heartbeat.close()


@pytest.mark.parametrize(
    ("reason", "grace_s", "status"),
    [
        (Cancelled("on request"), 30, Status.CANCELLED),
        (TimedOut("too long"), 30, Status.TIMED_OUT),
        (HandedBack("spot reclaim"), HAND_BACK_GRACE_S, Status.PENDING),
        (LeaseLost("another has it"), 30, Status.RUNNING),
    ],
    ids=lambda value: getattr(value, "code", ""),
)
def test_the_end_of_a_job_that_does_not_stop_is_written_and_the_process_ends(
    stuck: tuple[Heartbeat, list[str]], store: Flaky, watched: Watched, clock: ManualClock,
    reason: ServerlessError, grace_s: float, status: Status,
) -> None:  # fmt: skip
    heartbeat, ends = stuck
    with heartbeat.watching(watched.claim, watched.flag, REQUEST) as job:
        job.flag.set(reason)
        heartbeat.tick(job)
        clock.advance(grace_s - 0.1)
        heartbeat.tick(job)
        assert ends == []
        clock.advance(0.1)
        heartbeat.tick(job)
    record = store.store.get("t", "j")
    assert record is not None
    assert record.status is status
    assert reason.message in ends[0]


def test_a_job_that_stops_in_time_is_left_alone(
    stuck: tuple[Heartbeat, list[str]], watched: Watched, clock: ManualClock
) -> None:
    heartbeat, ends = stuck
    with heartbeat.watching(watched.claim, watched.flag, REQUEST) as job:
        job.flag.set()
        heartbeat.tick(job)
    clock.advance(100)
    heartbeat.tick(job)
    assert ends == []


def test_a_store_that_is_away_does_not_keep_a_stuck_process_alive(
    stuck: tuple[Heartbeat, list[str]], store: Flaky, watched: Watched, clock: ManualClock
) -> None:
    heartbeat, ends = stuck
    with heartbeat.watching(watched.claim, watched.flag, REQUEST) as job:
        job.flag.set()
        heartbeat.tick(job)
        store.down = True
        clock.advance(30)
        heartbeat.tick(job)
    assert len(ends) == 1


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.heartbeat.TICK_S", 0.001)


@pytest.mark.usefixtures("quick")
def test_the_thread_beats_for_the_job_that_runs(heartbeat: Heartbeat, store: Flaky, watched: Watched) -> None:
    with heartbeat.watching(watched.claim, watched.flag, REQUEST):
        assert store.called.wait(10)


@pytest.mark.usefixtures("quick")
def test_the_thread_outlives_a_defect(
    heartbeat: Heartbeat, store: Flaky, watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    store.broken = True
    with heartbeat.watching(watched.claim, watched.flag, REQUEST):
        assert store.called.wait(10)
        store.broken = False
        store.called.clear()
        assert store.called.wait(10)
    assert "heartbeat failed" in caplog.text


def test_a_job_shorter_than_a_tick_costs_no_call(heartbeat: Heartbeat, store: Flaky, watched: Watched) -> None:
    with heartbeat.watching(watched.claim, watched.flag, REQUEST):
        watched.progress = progress(1)
    heartbeat.close()
    assert store.calls == []


@pytest.mark.usefixtures("quick")
def test_chores_are_done_while_no_job_runs_and_may_fail(store: Any, watched: Watched) -> None:
    done = threading.Event()

    def chores() -> None:
        done.set()
        raise StateUnavailable("the table does not answer")

    heartbeat = Heartbeat(store, ManualClock(), chores=chores)
    with heartbeat.watching(watched.claim, watched.flag, REQUEST):
        assert store.called.wait(10)
        assert not done.is_set()
    assert done.wait(10)
    heartbeat.close()


def test_closing_ends_the_thread_at_once(heartbeat: Heartbeat, watched: Watched) -> None:
    others = set(threading.enumerate())
    with heartbeat.watching(watched.claim, watched.flag, REQUEST):
        pass
    heartbeat.close()
    assert "heartbeat" not in {thread.name for thread in set(threading.enumerate()) - others}


def test_a_heartbeat_that_never_started_can_be_closed(store: Any, clock: ManualClock) -> None:
    Heartbeat(store, clock).close()
