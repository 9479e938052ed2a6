"""Measure the job stores: claims a second on SQLite with 8 processes, and what a job costs on each store.

    python -m scripts.bench.stores [--processes 8] [--seconds 3]

Beside the claims the same processes insert a row each into a table of SQLite's own, in the same settings: the most that
the file allows.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sqlite3
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from runtime.aws import AwsAccess
from runtime.clock import ManualClock
from runtime.jobs.dynamodb import DynamoJobStore
from runtime.jobs.leases import Claim
from runtime.jobs.record import JobFacts, Outcome, Status
from runtime.jobs.sqlite import SqliteJobStore
from runtime.jobs.store import JobStore
from runtime.jobs.table import create_table
from runtime.progress import Progress
from scripts.bench.measure import machine

_BOUND = 300
_ENDED = Outcome(status=Status.COMPLETED)
Work = Callable[[Path, int, float], int]


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description="Measure the job stores.")
    parser.add_argument("--processes", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    rates: dict[str, list[float]] = {"claims": [], "bare inserts": []}
    works: dict[str, Work] = {"claims": _claim, "bare inserts": _insert}
    for _ in range(arguments.rounds):
        for name, work in works.items():
            rates[name].append(_rate(work, arguments.processes, arguments.seconds))
    claims, inserts = (statistics.median(rates[name]) for name in ("claims", "bare inserts"))
    print(f"{machine()}\n")
    print(f"{claims:.0f} claims a second on SQLite with {arguments.processes} processes (at least {_BOUND});")
    print(f"bare inserts in the same settings {inserts:.0f} a second, {claims / inserts:.2f} times")
    for name, counts in {"SQLite, statements": _on_sqlite(), "DynamoDB, calls": _on_dynamodb()}.items():
        print(f"{name}: {dict(counts)}")


def _rate(work: Work, processes: int, seconds: float) -> float:
    """How often a second all processes together do `work` on one file."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        multiprocessing.get_context("spawn").Pool(processes) as pool,
    ):
        path = Path(folder) / "jobs.db"
        pool.starmap(work, [(path, number, 0.05) for number in range(processes)])  # every process is up
        done = pool.starmap(work, [(path, number + processes, seconds) for number in range(processes)], chunksize=1)
        return sum(done) / seconds


def _claim(path: Path, number: int, seconds: float) -> int:
    store, done, end = SqliteJobStore(path), 0, time.monotonic() + seconds
    while time.monotonic() < end:
        store.claim(_facts(f"{number}-{done}"), worker_id=f"worker-{number}")
        done += 1
    store.close()
    return done


def _insert(path: Path, number: int, seconds: float) -> int:
    connection = sqlite3.connect(path, timeout=10, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("CREATE TABLE IF NOT EXISTS bare (id TEXT PRIMARY KEY, record TEXT)")
    done, end = 0, time.monotonic() + seconds
    while time.monotonic() < end:
        connection.execute("INSERT OR REPLACE INTO bare VALUES (?, ?)", (f"{number}-{done}", "x" * 500))
        done += 1
    connection.close()
    return done


def _facts(job_id: str) -> JobFacts:
    return JobFacts(tenant="bench", job_id=job_id, request_sha256="a" * 64, workflow_sha256="b" * 64)


def _minute_of_work(store: JobStore, clock: ManualClock) -> None:
    """A job invoked directly that runs for a minute, renewed every 20 s with its progress, and completes."""
    claim = store.claim(_facts("job"), worker_id="worker")
    if not isinstance(claim, Claim):
        raise RuntimeError("the job of the benchmark is held")
    for step in range(3):
        clock.advance(20)
        claim = store.renew(claim, Progress(node_id="3", step=step, steps=3))
    store.finish(claim, _ENDED)


def _on_sqlite() -> Mapping[str, int]:
    counts: Counter[str] = Counter()
    clock = ManualClock()
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        store = SqliteJobStore(Path(folder) / "jobs.db", clock=clock)
        with store._file.connection() as connection:
            connection.set_trace_callback(lambda statement: counts.update([statement.split()[0]]))
        _minute_of_work(store, clock)
        store.close()
    return {name: counts[name] for name in ("SELECT", "INSERT", "UPDATE") if counts[name]}


def _on_dynamodb() -> Mapping[str, int]:
    from moto import mock_aws

    counts: Counter[str] = Counter()
    clock = ManualClock()
    with mock_aws():
        access = AwsAccess(region="eu-west-1", access_key_id="AKIDTEST", secret_access_key="not-a-secret")
        create_table(access.session.client("dynamodb"), "jobs")
        store = DynamoJobStore("jobs", access=access, clock=clock)
        store._table.client().meta.events.register(
            "before-call.dynamodb", lambda model, **_: counts.update([model.name])
        )
        _minute_of_work(store, clock)
    return counts


if __name__ == "__main__":
    main()
