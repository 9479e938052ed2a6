from __future__ import annotations

import json
import multiprocessing
import sqlite3
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from runtime.clock import ManualClock, utc_text
from runtime.errors import StateUnavailable
from runtime.jobs import sqlite as sqlite_module
from runtime.jobs.codec import to_document
from runtime.jobs.leases import Claim
from runtime.jobs.record import JobFacts, JobRecord, Outcome, Status
from runtime.jobs.sqlite import SqliteJobStore


def claims_of(path: Path, facts: JobFacts, worker_id: str) -> int:
    """How many of 20 jobs a process gets, each of which others claim as well."""
    store = SqliteJobStore(path)
    jobs = [replace(facts, job_id=f"job-{number}") for number in range(20)]
    won = [claim for job in jobs if isinstance(claim := store.claim(job, worker_id=worker_id), Claim)]
    for claim in won:
        store.finish(claim, Outcome(status=Status.COMPLETED))
    store.close()
    return len(won)


def test_a_job_is_won_once_by_many_processes(tmp_path: Path, facts: JobFacts) -> None:
    path = tmp_path / "jobs.db"
    with ProcessPoolExecutor(4, mp_context=multiprocessing.get_context("spawn")) as pool:
        won = [pool.submit(claims_of, path, facts, f"worker-{number}") for number in range(4)]
        assert sum(future.result() for future in won) == 20


def test_threads_share_one_store(tmp_path: Path, facts: JobFacts) -> None:
    store = SqliteJobStore(tmp_path / "jobs.db")
    jobs = [replace(facts, job_id=f"job-{number}") for number in range(50)]
    with ThreadPoolExecutor(8) as pool:
        claims = list(pool.map(lambda job: store.claim(job, worker_id="worker-a"), jobs))
    assert all(isinstance(claim, Claim) for claim in claims)
    store.close()


def test_a_store_is_opened_by_its_first_call(tmp_path: Path, facts: JobFacts) -> None:
    store = SqliteJobStore(tmp_path / "new" / "jobs.db")
    assert not (tmp_path / "new").exists()
    store.prepare()
    assert (tmp_path / "new" / "jobs.db").is_file()
    store.close()


def test_jobs_are_there_when_the_file_is_opened_again(tmp_path: Path, facts: JobFacts) -> None:
    with closing(SqliteJobStore(tmp_path / "jobs.db")) as store:
        claim = store.claim(facts, worker_id="worker-a")
    assert isinstance(claim, Claim)
    with closing(SqliteJobStore(tmp_path / "jobs.db")) as store:
        assert store.get("acme", "job-1") == claim.record


def test_expired_jobs_leave_the_file(tmp_path: Path, facts: JobFacts, clock: ManualClock) -> None:
    with closing(SqliteJobStore(tmp_path / "jobs.db", clock=clock)) as store:
        store.create(facts, dispatch_by=0)
        store.request_cancel("acme", "job-1")
        clock.advance(facts.ttl_s)
        store.create(replace(facts, job_id="job-2"), dispatch_by=0)
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        assert connection.execute("SELECT job_id FROM jobs").fetchall() == [("job-2",)]


def test_a_file_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StateUnavailable, match="schema version 99, written by a newer release"):
        SqliteJobStore(tmp_path / "jobs.db").prepare()


def test_a_record_of_a_newer_release_is_refused(tmp_path: Path, facts: JobFacts) -> None:
    with closing(SqliteJobStore(tmp_path / "jobs.db")) as store:
        store.create(facts, dispatch_by=0)
        with closing(sqlite3.connect(tmp_path / "jobs.db")) as connection, connection:
            connection.execute("UPDATE jobs SET record = json_set(record, '$.schema_version', 99)")
        with pytest.raises(StateUnavailable, match="'job-1' has schema version 99"):
            store.get("acme", "job-1")


@pytest.mark.parametrize("content", [b"this is no database, it is a letter" * 99, None], ids=["foreign", "folder"])
def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, facts: JobFacts, content: bytes | None) -> None:
    path = tmp_path / "jobs.db"
    path.write_bytes(content) if content else path.mkdir()
    with pytest.raises(StateUnavailable, match=r"jobs\.db cannot be used"):
        SqliteJobStore(path).claim(facts, worker_id="worker-a")


def test_a_move_that_fails_leaves_nothing_behind(tmp_path: Path, facts: JobFacts) -> None:
    with closing(SqliteJobStore(tmp_path / "jobs.db")) as store:
        unencodable = replace(facts, batch_id=object())  # type: ignore[arg-type]  # what JSON does not have
        with pytest.raises(TypeError):
            store.claim(unencodable, worker_id="worker-a")
        assert isinstance(store.claim(facts, worker_id="worker-a"), Claim)


def test_the_heartbeat_waits_for_no_lock_that_a_reader_holds(tmp_path: Path, facts: JobFacts) -> None:
    with closing(SqliteJobStore(tmp_path / "jobs.db")) as store:
        claim = store.claim(facts, worker_id="worker-a")
        assert isinstance(claim, Claim)
        with closing(sqlite3.connect(tmp_path / "jobs.db", isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM jobs").fetchall()
            renewing = threading.Thread(target=store.renew, args=(claim,))
            renewing.start()
            renewing.join(5)
            assert not renewing.is_alive()


def test_a_full_disk_is_one_failed_call_and_the_store_serves_on(tmp_path: Path, facts: JobFacts) -> None:
    store = SqliteJobStore(tmp_path / "jobs.db")
    store.prepare()
    with store._file.connection() as connection:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(StateUnavailable, match="full"):
        store.create(facts, dispatch_by=0, request="x" * 100_000)
    with store._file.connection() as connection:
        connection.execute("PRAGMA max_page_count = 1000000")
    assert isinstance(store.claim(facts, worker_id="worker-a"), Claim)
    store.close()


def test_a_file_of_the_first_release_is_brought_up_to_date(tmp_path: Path, facts: JobFacts) -> None:
    path = tmp_path / "jobs.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sqlite_module._MIGRATIONS[0])
        record = json.dumps(to_document(JobRecord(**vars(facts), status=Status.PENDING, created_at=utc_text(0))))
        row = (*facts.key, facts.user_id, utc_text(0), 0, record)
        connection.execute(
            "INSERT INTO jobs (tenant, job_id, user_id, created_at, due_shard, record) VALUES (?, ?, ?, ?, ?, ?)", row
        )
        connection.execute("PRAGMA user_version = 1")
        connection.commit()
    store = SqliteJobStore(path)
    claim = store.claim(facts, worker_id="worker-a")
    assert isinstance(claim, Claim)
    store.finish(claim, Outcome(status=Status.COMPLETED, engine="native", likeness="f"))
    assert [job.job_id for job in store.list_alike(facts.tenant, "native", "f")] == [facts.job_id]
    store.close()
