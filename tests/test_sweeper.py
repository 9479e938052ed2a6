from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.artifacts.local import FolderArtifactStore
from runtime.clock import ManualClock
from runtime.errors import StateUnavailable
from runtime.jobs.leases import GRACE_S, LEASE_S, Claim
from runtime.jobs.record import Dispatch, JobFacts, JobKey, JobRecord, Outcome, Status
from runtime.jobs.sqlite import SqliteJobStore
from runtime.jobs.store import JobStore, due_shard
from runtime.jobs.transitions import ABANDONED_S, SENT_AGAIN_S
from runtime.request import JobRequest
from runtime.spool import Spool
from runtime.sweeper import PAGE, Sweeper, Swept

FACTS = JobFacts(tenant="acme", job_id="job-1", request_sha256="a" * 64, workflow_sha256="b" * 64)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def jobs(tmp_path: Path, clock: ManualClock) -> SqliteJobStore:
    return SqliteJobStore(tmp_path / "jobs.db", clock=clock)


@pytest.fixture
def sweeper(jobs: JobStore, clock: ManualClock) -> Sweeper:
    return Sweeper(jobs=jobs, clock=clock)


def lose(jobs: JobStore, clock: ManualClock, *facts: JobFacts) -> None:
    """Have a worker claim the jobs and never be heard of again."""
    for job in facts:
        assert isinstance(jobs.claim(job, worker_id="worker-a"), Claim)
    clock.advance(LEASE_S + GRACE_S)


def status_of(jobs: JobStore, job_id: str) -> Status:
    record = jobs.get("acme", job_id)
    assert record is not None
    return record.status


def test_lost_jobs_wait_again_or_end(jobs: JobStore, clock: ManualClock, sweeper: Sweeper) -> None:
    lose(jobs, clock, FACTS, replace(FACTS, job_id="job-2", max_attempts=1))
    assert sweeper.sweep() == Swept(requeued=1, ended=1)
    assert (status_of(jobs, "job-1"), status_of(jobs, "job-2")) == (Status.PENDING, Status.FAILED)


def test_a_second_sweep_finds_nothing_to_do(jobs: JobStore, clock: ManualClock, sweeper: Sweeper) -> None:
    lose(jobs, clock, FACTS)
    sweeper.sweep()
    swept = sweeper.sweep()
    assert (swept, str(swept)) == (Swept(), "nothing to do")


def test_jobs_whose_worker_lives_are_left_alone(jobs: JobStore, clock: ManualClock, sweeper: Sweeper) -> None:
    lose(jobs, clock, FACTS)
    jobs.claim(FACTS, worker_id="worker-b")
    clock.advance(LEASE_S)
    assert sweeper.sweep() == Swept()
    assert status_of(jobs, "job-1") is Status.RUNNING


def of_one_shard(count: int) -> list[JobFacts]:
    jobs = (replace(FACTS, job_id=f"job-{number}") for number in itertools.count())
    return list(itertools.islice((job for job in jobs if due_shard(job.key) == 0), count))


def test_a_sweep_comes_to_every_job_that_is_due(jobs: JobStore, clock: ManualClock, sweeper: Sweeper) -> None:
    lose(jobs, clock, *of_one_shard(2 * PAGE + 5))
    assert sweeper.sweep() == Swept(requeued=2 * PAGE + 5)


class Slow(SqliteJobStore):
    """A store that takes a second of its clock for each job that it moves."""

    def expire(self, known: JobRecord) -> JobRecord | None:
        assert isinstance(self._clock, ManualClock)
        self._clock.advance(1)
        return super().expire(known)


def test_many_jobs_of_one_shard_do_not_keep_those_of_another_waiting(tmp_path: Path, clock: ManualClock) -> None:
    slow = Slow(tmp_path / "jobs.db", clock=clock)
    other = next(job for job in (replace(FACTS, job_id=f"other-{n}") for n in range(99)) if due_shard(job.key) == 15)
    lose(slow, clock, *of_one_shard(2 * PAGE), other)
    assert Sweeper(jobs=slow, clock=clock, budget_s=PAGE + 1).sweep() == Swept(requeued=PAGE + 1, left_over=True)
    assert status_of(slow, other.job_id) is Status.PENDING


def test_a_sweep_begins_nothing_once_its_time_is_over(jobs: JobStore, clock: ManualClock) -> None:
    lose(jobs, clock, FACTS)
    assert Sweeper(jobs=jobs, clock=clock, budget_s=0).sweep() == Swept(left_over=True)
    assert status_of(jobs, "job-1") is Status.RUNNING


class OneUnreadable(SqliteJobStore):
    """A store that cannot give one of its jobs."""

    def get(self, tenant: str, job_id: str) -> JobRecord | None:
        if job_id == "job-1":
            raise StateUnavailable("part of the record is not there")
        return super().get(tenant, job_id)


def test_a_job_that_cannot_be_read_holds_up_no_other(tmp_path: Path, jobs: JobStore, clock: ManualClock) -> None:
    lose(jobs, clock, FACTS, replace(FACTS, job_id="job-2"))
    unwell = OneUnreadable(tmp_path / "jobs.db", clock=clock)
    assert Sweeper(jobs=unwell, clock=clock).sweep() == Swept(requeued=1, errors=1)


def test_a_store_that_does_not_answer_fails_the_sweep(tmp_path: Path, clock: ManualClock) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StateUnavailable):
        Sweeper(jobs=SqliteJobStore(tmp_path / "file" / "jobs.db", clock=clock), clock=clock).sweep()


class Lagging(SqliteJobStore):
    """A store whose index still names a job that has expired, as DynamoDB's does for up to two days."""

    left: list[JobKey]

    def due(self, shard: int, *, limit: int = 100) -> list[JobKey]:
        return [FACTS.key] if shard == 0 else []

    def leave_due(self, key: JobKey) -> None:
        self.left.append(key)


def test_a_job_that_has_expired_is_taken_out_of_the_due_ones(tmp_path: Path, clock: ManualClock) -> None:
    store = Lagging(tmp_path / "jobs.db", clock=clock)
    store.left = []
    assert Sweeper(jobs=store, clock=clock).sweep() == Swept()
    assert store.left == [FACTS.key]


@pytest.fixture
def artifacts(tmp_path: Path) -> FolderArtifactStore:
    return FolderArtifactStore(tmp_path / "artifacts", base_url="http://files")


def test_an_end_that_a_worker_spooled_is_written_before_its_lease_is_taken_for_lost(
    jobs: SqliteJobStore, artifacts: FolderArtifactStore, clock: ManualClock
) -> None:
    claim = jobs.claim(replace(FACTS, max_attempts=1), worker_id="worker-a")
    assert isinstance(claim, Claim)
    Spool(jobs, artifacts, artifacts).keep(claim, Outcome(status=Status.COMPLETED, engine="native"))
    clock.advance(LEASE_S + GRACE_S)
    assert Sweeper(jobs=jobs, clock=clock, artifacts=artifacts).sweep() == Swept(spooled=1)
    assert status_of(jobs, "job-1") is Status.COMPLETED
    assert list(artifacts.list("spool/")) == []


def test_a_spooled_end_that_cannot_be_read_holds_up_nothing(
    jobs: SqliteJobStore, artifacts: FolderArtifactStore, clock: ManualClock
) -> None:
    artifacts.put("spool/acme/job-9/1.json", b"no json", "application/json")
    lose(jobs, clock, FACTS)
    assert Sweeper(jobs=jobs, clock=clock, artifacts=artifacts).sweep() == Swept(requeued=1, spooled=1)


def test_a_sweep_removes_what_nobody_names(
    jobs: SqliteJobStore, artifacts: FolderArtifactStore, clock: ManualClock
) -> None:
    artifacts.put("requests/acme/gone/a.json", b"{}", "application/json")
    clock.advance(10 * 365 * 86_400)  # the file's age is by the machine's clock
    swept = Sweeper(jobs=jobs, clock=clock, artifacts=artifacts).sweep()
    assert (swept, str(swept)) == (Swept(orphans_removed=1), "orphans removed 1")


class Desk:
    """A dispatcher that notes what it is to bring; `fails` times it cannot."""

    within_s = 600.0
    dispatch = Dispatch(backend="desk")

    def __init__(self, fails: int = 0) -> None:
        self.sent: list[tuple[JobKey, JobRequest]] = []
        self.fails = fails

    def check(self, request: JobRequest) -> None:
        pass

    def send(self, key: JobKey, request: JobRequest) -> None:
        if self.fails:
            self.fails -= 1
            raise StateUnavailable("the desk does not answer")
        self.sent.append((key, request))

    def cancel(self, key: JobKey) -> None:
        pass


REQUEST = JobRequest(workflow={"1": {"class_type": "A", "inputs": {}}})
AT_DESK = replace(FACTS, dispatch=Desk.dispatch)


def sweeper_with(desk: Desk, jobs: JobStore, clock: ManualClock) -> Sweeper:
    return Sweeper(jobs=jobs, clock=clock, dispatchers={"desk": desk})


def test_a_job_that_lost_its_worker_is_sent_again_once(jobs: JobStore, clock: ManualClock) -> None:
    desk = Desk()
    jobs.create(AT_DESK, dispatch_by=clock.wall() + 600, request=REQUEST.to_text())
    lose(jobs, clock, AT_DESK)
    sweeper = sweeper_with(desk, jobs, clock)
    assert (sweeper.sweep(), sweeper.sweep()) == (Swept(requeued=1, sent_again=1), Swept())
    assert desk.sent == [(AT_DESK.key, REQUEST)]


def test_a_job_that_could_not_be_sent_is_sent_when_it_is_due_again(jobs: JobStore, clock: ManualClock) -> None:
    desk = Desk(fails=1)
    jobs.create(AT_DESK, dispatch_by=clock.wall() + 600, request=REQUEST.to_text())
    lose(jobs, clock, AT_DESK)
    sweeper = sweeper_with(desk, jobs, clock)
    assert sweeper.sweep() == Swept(requeued=1, errors=1)
    clock.advance(SENT_AGAIN_S)
    assert (sweeper.sweep(), sweeper.sweep()) == (Swept(sent_again=1), Swept())


def test_a_job_handed_back_that_nobody_brings_is_sent_again_until_it_is_given_up(
    jobs: JobStore, clock: ManualClock
) -> None:
    desk = Desk()
    claim = jobs.claim(AT_DESK, worker_id="worker-a")
    assert isinstance(claim, Claim)
    jobs.hand_back(claim, request=REQUEST.to_text())
    sweeper = sweeper_with(desk, jobs, clock)
    for _ in range(int(ABANDONED_S / SENT_AGAIN_S) - 1):
        clock.advance(SENT_AGAIN_S)
        assert sweeper.sweep() == Swept(sent_again=1)
    clock.advance(SENT_AGAIN_S)
    assert sweeper.sweep() == Swept(ended=1)
    assert status_of(jobs, "job-1") is Status.TIMED_OUT


@pytest.mark.parametrize(
    ("facts", "request_text"),
    [(FACTS, REQUEST.to_text()), (replace(FACTS, dispatch=Dispatch(backend="else")), "{}"), (AT_DESK, None)],
    ids=["sent nowhere", "by another backend", "its platform has the request"],
)
def test_what_no_dispatcher_sent_is_left_to_its_platform(
    jobs: JobStore, clock: ManualClock, facts: JobFacts, request_text: str | None
) -> None:
    desk = Desk()
    assert isinstance(jobs.claim(facts, worker_id="worker-a", request=request_text), Claim)
    clock.advance(LEASE_S + GRACE_S)
    assert sweeper_with(desk, jobs, clock).sweep() == Swept(requeued=1)
    assert desk.sent == []
