from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from runtime import orphans as module
from runtime.artifacts.local import FolderArtifactStore
from runtime.clock import ManualClock
from runtime.jobs.leases import GRACE_S, LEASE_S, Claim
from runtime.jobs.record import JobError, JobFacts, Outcome, Status, StoredOutput
from runtime.jobs.sqlite import SqliteJobStore
from runtime.orphans import ROUND_EVERY_S, SAFE_AGE_S, STATE, Orphans

FACTS = JobFacts(tenant="acme", job_id="job-1", request_sha256="a" * 64, workflow_sha256="b" * 64)
FAILED = Outcome(status=Status.FAILED, error=JobError(code="internal", message="no", retryable=True))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def jobs(tmp_path: Path, clock: ManualClock) -> SqliteJobStore:
    return SqliteJobStore(tmp_path / "jobs.db", clock=clock)


@pytest.fixture
def artifacts(tmp_path: Path) -> FolderArtifactStore:
    return FolderArtifactStore(tmp_path / "artifacts", base_url="http://files")


@pytest.fixture
def orphans(jobs: SqliteJobStore, artifacts: FolderArtifactStore, clock: ManualClock) -> Orphans:
    return Orphans(jobs=jobs, artifacts=artifacts, clock=clock)


def put(artifacts: FolderArtifactStore, clock: ManualClock, *keys: str, age_s: float = SAFE_AGE_S) -> None:
    for key in keys:
        artifacts.put(key, b"x", "image/png")
        os.utime(artifacts.path(key), (clock.wall() - age_s,) * 2)


def left(artifacts: FolderArtifactStore) -> list[str]:
    return [artifact.key for artifact in artifacts.list("") if artifact.key != STATE]


def claimed(jobs: SqliteJobStore, facts: JobFacts = FACTS) -> Claim:
    claim = jobs.claim(facts, worker_id="worker-a")
    assert isinstance(claim, Claim)
    return claim


def completed(key: str) -> Outcome:
    output = StoredOutput(
        node_id="9", kind="image", filename="a.png", key=key, content_type="image/png", size_bytes=1, sha256="c" * 64
    )
    return Outcome(status=Status.COMPLETED, outputs=(output,))


def test_outputs_of_the_workers_that_lost_a_job_are_removed_and_the_winner_s_stay(
    jobs: SqliteJobStore, artifacts: FolderArtifactStore, clock: ManualClock, orphans: Orphans
) -> None:
    claimed(jobs)
    clock.advance(LEASE_S + GRACE_S)
    jobs.finish(claimed(jobs), completed("outputs/acme/job-1/2/9_0_a.png"))
    put(artifacts, clock, "outputs/acme/job-1/1/9_0_a.png", "outputs/acme/job-1/2/9_0_a.png")
    assert orphans.remove_some() == 1
    assert left(artifacts) == ["outputs/acme/job-1/2/9_0_a.png"]


def test_what_a_job_that_failed_had_uploaded_is_removed(
    jobs: SqliteJobStore, artifacts: FolderArtifactStore, clock: ManualClock, orphans: Orphans
) -> None:
    jobs.finish(claimed(jobs), FAILED)
    put(artifacts, clock, "outputs/acme/job-1/1/9_0_a.png")
    assert orphans.remove_some() == 1
    assert left(artifacts) == []


def test_what_is_young_or_of_a_job_that_goes_on_is_left_alone(
    jobs: SqliteJobStore, artifacts: FolderArtifactStore, clock: ManualClock, orphans: Orphans
) -> None:
    claimed(jobs)
    jobs.finish(claimed(jobs, replace(FACTS, job_id="job-2")), FAILED)
    put(artifacts, clock, "outputs/acme/job-1/1/9_0_a.png", "requests/acme/job-1/a.json", "details/acme/job-1/1.json")
    put(artifacts, clock, "outputs/acme/job-2/1/9_0_a.png", age_s=SAFE_AGE_S - 1)
    assert orphans.remove_some() == 0
    assert len(left(artifacts)) == 4


def test_of_a_job_that_is_no_more_the_outputs_alone_stay(
    artifacts: FolderArtifactStore, clock: ManualClock, orphans: Orphans
) -> None:
    """They may be what it completed with before its record expired."""
    put(artifacts, clock, "outputs/acme/gone/1/9_0_a.png", "requests/acme/gone/a.json", "details/acme/gone/1.json")
    put(artifacts, clock, "inputs/acme/abc.png")
    assert orphans.remove_some() == 2
    assert left(artifacts) == ["inputs/acme/abc.png", "outputs/acme/gone/1/9_0_a.png"]


def test_details_of_a_claim_that_lost_are_removed(
    jobs: SqliteJobStore, artifacts: FolderArtifactStore, clock: ManualClock, orphans: Orphans
) -> None:
    claimed(jobs)
    clock.advance(LEASE_S + GRACE_S)
    jobs.finish(claimed(jobs), FAILED)
    put(artifacts, clock, "details/acme/job-1/1.json", "details/acme/job-1/2.json", "requests/acme/job-1/a.json")
    assert orphans.remove_some() == 1
    assert left(artifacts) == ["details/acme/job-1/2.json", "requests/acme/job-1/a.json"]


def test_a_round_goes_on_where_the_last_sweep_stopped_and_begins_once_an_hour(
    artifacts: FolderArtifactStore, clock: ManualClock, orphans: Orphans, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FILES_A_SWEEP", 4)
    put(artifacts, clock, *(f"requests/acme/gone-{number}/a.json" for number in range(10)))
    assert [orphans.remove_some() for _ in range(4)] == [4, 4, 2, 0]
    put(artifacts, clock, "requests/acme/late/a.json")
    assert orphans.remove_some() == 0
    clock.advance(ROUND_EVERY_S)
    assert orphans.remove_some() == 1


def test_another_s_files_are_not_looked_at(
    artifacts: FolderArtifactStore, clock: ManualClock, orphans: Orphans
) -> None:
    put(artifacts, clock, "requests/odd", "outputs/odd", "else/acme/job-1/1/a.png")
    assert orphans.remove_some() == 0
    assert len(left(artifacts)) == 3


def test_a_preview_outlives_no_job(
    jobs: SqliteJobStore, artifacts: FolderArtifactStore, clock: ManualClock, orphans: Orphans
) -> None:
    claimed(jobs)
    jobs.finish(claimed(jobs, replace(FACTS, job_id="job-2")), FAILED)
    put(artifacts, clock, *(f"previews/acme/{job_id}.jpg" for job_id in ("job-1", "job-2", "gone")))
    assert orphans.remove_some() == 2
    assert left(artifacts) == ["previews/acme/job-1.jpg"]


def test_a_request_that_a_client_has_put_there_waits_for_its_job(
    artifacts: FolderArtifactStore, clock: ManualClock, orphans: Orphans
) -> None:
    put(artifacts, clock, "requests/acme/mine.json")
    assert orphans.remove_some() == 0
    assert left(artifacts) == ["requests/acme/mine.json"]
