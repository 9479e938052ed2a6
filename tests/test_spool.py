from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.artifacts.local import FolderArtifactStore
from runtime.clock import ManualClock
from runtime.errors import StateUnavailable, StorageUnavailable
from runtime.jobs.leases import GRACE_S, LEASE_S, Claim
from runtime.jobs.record import JobFacts, JobRecord, Outcome, Status, StoredOutput
from runtime.jobs.sqlite import SqliteJobStore
from runtime.spool import PREFIX, Spool
from runtime.sweeper import Sweeper

FACTS = JobFacts(tenant="t", job_id="j", request_sha256="r", workflow_sha256="w")
OUTPUT = StoredOutput(
    node_id="9", kind="image", filename="a.png", key="outputs/t/j/1/9_0_a.png", content_type="image/png",
    size_bytes=4, sha256="c" * 64,
)  # fmt: skip
DONE = Outcome(status=Status.COMPLETED, engine="native", gpu_seconds=1.5, outputs=(OUTPUT,), seed_used={"3": 7})


class Switched:
    """A store that does not answer while it is `down`."""

    def __init__(self, store: Any, error: Exception) -> None:
        self.store = store
        self.error = error
        self.down = False

    def __getattr__(self, name: str) -> Any:
        if self.down:
            raise self.error
        return getattr(self.store, name)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def jobs(tmp_path: Path, clock: ManualClock) -> Iterator[Any]:
    store = SqliteJobStore(tmp_path / "jobs.db", clock=clock)
    yield Switched(store, StateUnavailable("the table does not answer"))
    store.close()


@pytest.fixture
def bucket(tmp_path: Path) -> Any:
    folder = FolderArtifactStore(tmp_path / "bucket", base_url="http://unused.invalid")
    return Switched(folder, StorageUnavailable("the bucket does not answer"))


@pytest.fixture
def volume(tmp_path: Path) -> Any:
    folder = FolderArtifactStore(tmp_path / "volume", base_url="http://unused.invalid")
    return Switched(folder, StorageUnavailable("No space left on device"))


@pytest.fixture
def spool(jobs: Any, bucket: Any, volume: Any) -> Spool:
    return Spool(jobs, bucket, volume)


@pytest.fixture
def claim(jobs: Any) -> Claim:
    claim = jobs.claim(FACTS, worker_id="me")
    assert isinstance(claim, Claim)
    return claim


def record(jobs: Any) -> JobRecord:
    found = jobs.get("t", "j")
    assert found is not None
    return found


def keys(store: Any) -> list[str]:
    return [artifact.key for artifact in store.store.list(PREFIX)]


def outcome_of(record: JobRecord) -> Outcome:
    return Outcome(**{name: getattr(record, name) for name in vars(DONE)})


def test_an_end_is_kept_in_the_bucket_and_written_when_the_store_is_back(
    spool: Spool, jobs: Any, bucket: Any, claim: Claim
) -> None:
    assert spool.keep(claim, DONE)
    assert keys(bucket) == ["spool/t/j/1.json"]
    jobs.down = True
    with pytest.raises(StateUnavailable):
        spool.apply()
    jobs.down = False
    spool.apply()
    assert (outcome_of(record(jobs)), spool.is_empty, keys(bucket)) == (DONE, True, [])


def test_where_the_bucket_is_away_too_it_is_kept_on_the_volume(
    spool: Spool, jobs: Any, bucket: Any, volume: Any, claim: Claim
) -> None:
    bucket.down = True
    assert spool.keep(claim, DONE)
    assert keys(volume) == ["spool/t/j/1.json"]
    later = Spool(jobs, bucket, volume)  # of another process, after this one has died
    later.recover()
    later.apply()
    assert (outcome_of(record(jobs)), keys(volume)) == (DONE, [])


def test_an_end_that_nothing_takes_is_told(spool: Spool, bucket: Any, volume: Any, claim: Claim) -> None:
    bucket.down = volume.down = True
    assert not spool.keep(claim, DONE)
    assert spool.is_empty


def swept(jobs: Any, bucket: Any, clock: ManualClock) -> int:
    return Sweeper(jobs=jobs, clock=clock, artifacts=bucket).sweep().spooled


def test_the_sweeper_writes_what_a_dead_worker_left(
    spool: Spool, jobs: Any, bucket: Any, claim: Claim, clock: ManualClock
) -> None:
    spool.keep(claim, DONE)
    assert (swept(jobs, bucket, clock), swept(jobs, bucket, clock)) == (1, 0)
    assert outcome_of(record(jobs)) == DONE


def test_the_end_of_a_claim_that_lost_its_job_is_dropped(
    spool: Spool, jobs: Any, bucket: Any, claim: Claim, clock: ManualClock
) -> None:
    spool.keep(claim, DONE)
    clock.advance(LEASE_S + GRACE_S)
    winner = jobs.claim(FACTS, worker_id="other").record
    spool.apply()
    assert (record(jobs), keys(bucket)) == (winner, [])


def test_an_end_written_by_two_is_written_once(
    spool: Spool, jobs: Any, bucket: Any, claim: Claim, clock: ManualClock
) -> None:
    spool.keep(claim, DONE)
    jobs.finish(claim, DONE)
    before = record(jobs)
    assert swept(jobs, bucket, clock) == 1
    spool.apply()
    assert record(jobs) == before


def test_a_job_that_was_requeued_meanwhile_ends_by_its_spooled_end(
    spool: Spool, jobs: Any, bucket: Any, claim: Claim
) -> None:
    spool.keep(claim, DONE)
    jobs.hand_back(claim)
    spool.apply()
    assert outcome_of(record(jobs)) == DONE
    assert record(jobs).attempt + record(jobs).handbacks == record(jobs).fencing_token == 2
    spool.apply()
    assert keys(bucket) == []


def test_what_is_no_end_is_dropped_and_holds_up_no_other(
    spool: Spool, jobs: Any, bucket: Any, claim: Claim, clock: ManualClock
) -> None:
    bucket.put("spool/t/a/1.json", b"{", "application/json")
    spool.keep(claim, DONE)
    assert swept(jobs, bucket, clock) == 2
    assert outcome_of(record(jobs)) == DONE
