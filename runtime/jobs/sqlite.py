"""Job state in one SQLite file, shared by the threads and processes of a machine."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from runtime.clock import Clock, SystemClock
from runtime.jobs import transitions
from runtime.jobs.codec import from_document, to_document, to_summary
from runtime.jobs.moves import JobMoves, Moved
from runtime.jobs.record import JobKey, JobRecord, JobSummary, Status
from runtime.jobs.store import Page, due_shard, likeness_key, read_cursor, write_cursor
from runtime.sqlite_file import SqliteFile

_encode = json.JSONEncoder(separators=(",", ":")).encode

_MIGRATIONS = (
    """
    CREATE TABLE jobs (
        tenant TEXT NOT NULL,
        job_id TEXT NOT NULL,
        user_id TEXT NOT NULL,
        created_at TEXT NOT NULL,
        due_shard INTEGER NOT NULL,
        due_at REAL,
        expires_at INTEGER,
        record TEXT NOT NULL,
        request TEXT,
        PRIMARY KEY (tenant, job_id)
    );
    CREATE INDEX jobs_by_user ON jobs (tenant, user_id, created_at, job_id);
    CREATE INDEX jobs_by_due ON jobs (due_shard, due_at) WHERE due_at IS NOT NULL;
    CREATE INDEX jobs_by_expiry ON jobs (expires_at) WHERE expires_at IS NOT NULL;
    """,
    """
    ALTER TABLE jobs ADD COLUMN likeness TEXT;
    ALTER TABLE jobs ADD COLUMN finished_at TEXT;
    CREATE INDEX jobs_by_likeness ON jobs (likeness, finished_at) WHERE likeness IS NOT NULL;
    """,
)
"""Each takes a file from the version that is its place to the next; never changed once released, only added to."""

_READ = "SELECT record FROM jobs WHERE tenant = ? AND job_id = ?"
_INSERT = """
    INSERT INTO jobs (due_at, expires_at, likeness, finished_at, record, tenant, job_id, user_id, created_at,
        due_shard, request)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_UPDATE = """
    UPDATE jobs SET due_at = ?, expires_at = ?, likeness = ?, finished_at = ?, record = ?
    WHERE tenant = ? AND job_id = ?
"""
_KEEP_REQUEST = "UPDATE jobs SET request = ? WHERE tenant = ? AND job_id = ?"
_FORGET = "DELETE FROM jobs WHERE expires_at <= ?"
_REQUEST = "SELECT request FROM jobs WHERE tenant = ? AND job_id = ? AND (expires_at IS NULL OR expires_at > ?)"
_LIST = """
    SELECT record FROM jobs
    WHERE tenant = ? AND user_id = ? AND (created_at, job_id) < (?, ?) AND (expires_at IS NULL OR expires_at > ?)
        AND (? IS NULL OR json_extract(record, '$.status') = ?)
    ORDER BY created_at DESC, job_id DESC LIMIT ?
"""
_ALIKE = """
    SELECT record FROM jobs WHERE likeness = ? AND (expires_at IS NULL OR expires_at > ?)
    ORDER BY finished_at DESC LIMIT ?
"""
_DUE = "SELECT tenant, job_id FROM jobs WHERE due_shard = ? AND due_at <= ? ORDER BY due_at LIMIT ?"
_REMOVE = "DELETE FROM jobs WHERE tenant = ? AND job_id = ? AND expires_at > ?"
_LEAVE_DUE = "UPDATE jobs SET due_at = NULL WHERE tenant = ? AND job_id = ? AND expires_at <= ?"
_AFTER_ALL = ("~", "")
"""Sorts behind every `created_at`."""


class SqliteJobStore(JobMoves):
    """A JobStore in the file `path`, made with its folder on first use. Whole or absent after a crash of the process.

    A machine that loses power may lose the last moves, never the file (WAL, synchronous=NORMAL). Expired jobs are
    deleted when another is born. Not for a file on a network share, and not to be carried over a fork.
    """

    def __init__(self, path: Path, *, clock: Clock | None = None) -> None:
        super().__init__(clock or SystemClock())
        self._file = SqliteFile(path, _MIGRATIONS, name="job store")

    def prepare(self) -> None:
        with self._file.connection():
            pass

    def close(self) -> None:
        self._file.close()

    def get(self, tenant: str, job_id: str) -> JobRecord | None:
        with self._file.connection() as connection:
            return self._read(connection, JobKey(tenant, job_id))

    def request_of(self, tenant: str, job_id: str) -> str | None:
        with self._file.connection() as connection:
            row = connection.execute(_REQUEST, (tenant, job_id, self._clock.wall())).fetchone()
        return row[0] if row else None

    def list_by_user(
        self,
        tenant: str,
        user_id: str,
        *,
        cursor: str | None = None,
        limit: int = 50,
        status: Status | None = None,
    ) -> Page:
        after = read_cursor(cursor) if cursor else _AFTER_ALL
        of_status = status.value if status else None
        values = (tenant, user_id, *after, self._clock.wall(), of_status, of_status, limit + 1)
        with self._file.connection() as connection:
            rows = connection.execute(_LIST, values).fetchall()
        jobs = tuple(to_summary(json.loads(row[0])) for row in rows[:limit])
        more = len(rows) > limit
        return Page(jobs=jobs, cursor=write_cursor(jobs[-1].created_at, jobs[-1].job_id) if more else None)

    def list_alike(self, tenant: str, engine: str, likeness: str, *, limit: int = 50) -> Sequence[JobSummary]:
        values = (f"{tenant}#{engine}#{likeness}", self._clock.wall(), limit)
        with self._file.connection() as connection:
            return [to_summary(json.loads(row[0])) for row in connection.execute(_ALIKE, values)]

    def due(self, shard: int, *, limit: int = 100) -> Sequence[JobKey]:
        with self._file.connection() as connection:
            return [JobKey(*row) for row in connection.execute(_DUE, (shard, self._clock.wall(), limit))]

    def remove(self, key: JobKey) -> bool:
        with self._file.connection() as connection:
            return connection.execute(_REMOVE, (*key, self._clock.wall())).rowcount > 0

    def leave_due(self, key: JobKey) -> None:
        with self._file.connection() as connection:
            connection.execute(_LEAVE_DUE, (*key, self._clock.wall()))

    def _move(
        self, key: JobKey, move: transitions.Move, *, known: JobRecord | None, request: str | None = None
    ) -> Moved:
        with self._file.transaction() as connection:
            before = self._read(connection, key)
            after = transitions.apply(move, before)
            if after is None or after is before:
                return Moved(record=before, changed=False)
            if before is None:
                self._insert(connection, after, request)
            else:
                connection.execute(_UPDATE, (*_columns(after), *key))
                if request is not None and after.status is Status.PENDING:
                    connection.execute(_KEEP_REQUEST, (request, *key))
            return Moved(record=after, changed=True)

    def _read(self, connection: sqlite3.Connection, key: JobKey) -> JobRecord | None:
        row = connection.execute(_READ, key).fetchone()
        record = from_document(json.loads(row[0])) if row else None
        return None if record and record.is_expired(self._clock.wall()) else record

    def _insert(self, connection: sqlite3.Connection, record: JobRecord, request: str | None) -> None:
        connection.execute(_FORGET, (self._clock.wall(),))
        birth = (*record.key, record.user_id, record.created_at, due_shard(record.key), request)
        connection.execute(_INSERT, (*_columns(record), *birth))


def _columns(record: JobRecord) -> tuple[Any, ...]:
    return record.due_at, record.expires_at, likeness_key(record), record.finished_at, _encode(to_document(record))
