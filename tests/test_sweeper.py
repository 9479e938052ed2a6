from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from runtime.artifacts.local import FolderArtifactStore
from runtime.clock import ManualClock
from runtime.errors import StateUnavailable
from runtime.jobs.leases import GRACE_S, LEASE_S, Claim
from runtime.jobs.record import JobFacts, JobKey, JobRecord, Outcome, Status
from runtime.jobs.sqlite import SqliteJobStore
from runtime.jobs.store import JobStore, due_shard
from runtime.spool import Spool
from runtime.sweeper import DUE_PER_SHARD, Sweeper, Swept

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


def test_a_sweep_deals_with_a_bounded_number_of_jobs(jobs: JobStore, clock: ManualClock, sweeper: Sweeper) -> None:
    names = (f"job-{number}" for number in range(3 * 16 * DUE_PER_SHARD))
    same_shard = [facts for name in names if due_shard((facts := replace(FACTS, job_id=name)).key) == 0][
        : DUE_PER_SHARD + 5
    ]
    lose(jobs, clock, *same_shard)
    assert sweeper.sweep() == Swept(requeued=DUE_PER_SHARD, left_over=True)


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
    artifacts.put("requests/acme/gone.json", b"{}", "application/json")
    clock.advance(10 * 365 * 86_400)  # the file's age is by the machine's clock
    swept = Sweeper(jobs=jobs, clock=clock, artifacts=artifacts).sweep()
    assert (swept, str(swept)) == (Swept(orphans_removed=1), "orphans removed 1")
