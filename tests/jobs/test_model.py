"""Any interleaving of what several workers with clocks apart may do to jobs, held against `ExpectedJob`."""

from __future__ import annotations

import itertools
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from moto import mock_aws

from runtime.aws import AwsAccess
from runtime.clock import ManualClock
from runtime.errors import LeaseLost
from runtime.jobs.dynamodb import DynamoJobStore
from runtime.jobs.leases import Claim
from runtime.jobs.record import JobError, JobFacts, JobRecord, Outcome, Status, StoredOutput, WebhookTarget
from runtime.jobs.sqlite import SqliteJobStore
from runtime.jobs.store import JobStore, due_shard
from runtime.jobs.table import create_table
from runtime.sweeper import Sweeper

sys.path.insert(0, str(Path(__file__).parent))  # for expected_job, which is no test

if TYPE_CHECKING:
    from expected_job import ExpectedJob

WORKERS = 3
JOBS = {"once": 1, "twice": 2, "thrice": 3}
"""The jobs by name, and their most attempts."""
TELLING = ("twice", "thrice")
"""Those that have a webhook."""
TARGET = WebhookTarget(url="https://example.org/hook", events=("completed", "failed"))
LATER = JobError(code="storage_unavailable", message="not now", retryable=True)

workers = st.integers(0, WORKERS - 1)
jobs = st.sampled_from(sorted(JOBS))
any_claim = st.integers(0, 1_000)
ends = st.sampled_from([Status.COMPLETED, Status.FAILED, Status.TIMED_OUT, Status.CANCELLED])
waits = st.sampled_from([0.25, 1.0, 4.0, 20.0, 54.0, 60.0, 70.0, 600.0, 22_000.0])
skews = st.lists(st.floats(-8, 8), min_size=WORKERS, max_size=WORKERS)
Backend = Callable[[Sequence[ManualClock]], Sequence[JobStore]]


class Workers(RuleBasedStateMachine):
    """Some workers on one store. Each rule is a call that a worker makes, or makes twice for an answer that was lost.

    Between a call's read and its write another worker's call may come, where the backend has such a moment.
    """

    def __init__(self, backend: Backend, interlopers: list[Callable[[], None]]) -> None:
        super().__init__()
        from expected_job import ExpectedJob

        self.backend = backend
        self.interlopers = interlopers
        self.expected: Mapping[str, ExpectedJob] = {
            job: ExpectedJob(tries, tells=job in TELLING) for job, tries in JOBS.items()
        }
        self.claims: list[Claim] = []
        self.webhooks: list[JobRecord] = []

    @initialize(skews=skews)
    def start(self, skews: list[float]) -> None:
        self.interlopers.clear()
        self.clocks = [ManualClock(1_800_000_000.0 + skew) for skew in skews]
        self.stores = self.backend(self.clocks)

    @rule(worker=workers, job=jobs)
    def create(self, worker: int, job: str) -> None:
        dispatch_by = self.now(worker) + 600
        self.stores[worker].create(facts(job), dispatch_by=dispatch_by, request="{}")
        self.expected[job].create(dispatch_by)

    @rule(worker=workers, job=jobs)
    def claim(self, worker: int, job: str) -> None:
        self.clocks[worker].advance(1e-3)  # at one instant, the same claim again is taken for one whose answer was lost
        got = self.stores[worker].claim(facts(job), worker_id=f"worker-{worker}", request="{}")
        assert isinstance(got, Claim) == self.expected[job].claim(self.now(worker))
        if isinstance(got, Claim):
            assert got.fencing_token == self.expected[job].claims
            self.claims.append(got)

    @precondition(lambda self: self.claims)
    @rule(worker=workers, which=any_claim)
    def renew(self, worker: int, which: int) -> None:
        claim = self.held(which)
        renewed = kept(lambda: self.stores[worker].renew(claim))
        job = self.expected[claim.record.job_id]
        assert (renewed is not None) == job.renew(claim.fencing_token, self.now(worker))
        if renewed is not None:
            assert renewed.cancel_requested == job.cancel_requested
            self.claims = [renewed if held is claim else held for held in self.claims]

    @precondition(lambda self: self.claims)
    @rule(worker=workers, which=any_claim, status=ends)
    def finish(self, worker: int, which: int, status: Status) -> None:
        claim = self.held(which)
        outcome = ended(claim, status)
        record = kept(lambda: self.stores[worker].finish(claim, outcome))
        keys = tuple(output.key for output in outcome.outputs)
        assert (record is not None) == self.expected[claim.record.job_id].finish(
            claim.fencing_token, status, keys, self.now(worker)
        )

    @precondition(lambda self: self.claims)
    @rule(worker=workers, which=any_claim)
    def hand_back(self, worker: int, which: int) -> None:
        claim = self.held(which)
        record = kept(lambda: self.stores[worker].hand_back(claim))
        told = self.expected[claim.record.job_id].hand_back(claim.fencing_token, self.now(worker))
        assert told in (None, record is not None)

    @precondition(lambda self: self.claims)
    @rule(worker=workers, which=any_claim, delay_s=waits)
    def requeue(self, worker: int, which: int, delay_s: float) -> None:
        claim = self.held(which)
        record = kept(lambda: self.stores[worker].requeue(claim, LATER, delay_s=delay_s))
        not_before = self.now(worker) + delay_s
        job = self.expected[claim.record.job_id]
        assert job.requeue(claim.fencing_token, not_before, self.now(worker)) in (None, record is not None)

    @rule(worker=workers, job=jobs)
    def cancel(self, worker: int, job: str) -> None:
        self.stores[worker].request_cancel("acme", job)
        self.expected[job].cancel(self.now(worker))

    @rule(worker=workers, job=jobs)
    def take_webhook(self, worker: int, job: str) -> None:
        known = self.stores[worker].get("acme", job)
        if known is not None and known.status.is_terminal:
            held = self.stores[worker].take_webhook(known)
            assert (held is not None) == self.expected[job].take_webhook(self.now(worker))
            self.webhooks += [held] if held is not None else []

    @precondition(lambda self: self.webhooks)
    @rule(worker=workers, which=any_claim, end=st.sampled_from(["delivered", "again", "given up"]))
    def settle_webhook(self, worker: int, which: int, end: str) -> None:
        """Those that are never settled are of callers that crashed."""
        held = self.webhooks[which % len(self.webhooks)]
        retry_at = self.now(worker) + 4 if end == "again" else None
        failure = None if end == "delivered" else "it did not answer"
        self.stores[worker].settle_webhook(held, failure=failure, retry_at=retry_at)
        self.expected[held.job_id].settle_webhook(webhook_of(held), retry_at)

    @rule(worker=workers)
    def sweep(self, worker: int) -> None:
        self.interlopers.clear()  # it is many calls: another between them has no one place in their order
        swept = Sweeper(jobs=self.stores[worker], clock=self.clocks[worker]).sweep()
        assert (swept.errors, swept.left_over) == (0, False)
        for expected in self.expected.values():
            expected.sweep(self.now(worker))

    @rule(seconds=waits)
    def let_pass(self, seconds: float) -> None:
        for clock in self.clocks:
            clock.advance(seconds)

    @rule(
        data=st.data(),
        call=st.sampled_from(["create", "claim", "cancel", "renew", "finish", "hand_back", "requeue", "sweep"]),
    )
    def be_between(self, data: st.DataObject, call: str) -> None:
        """The next write of a worker finds that another's call came just before it."""
        worker, job, which, status = data.draw(st.tuples(workers, jobs, any_claim, ends))
        arguments: dict[str, dict[str, Any]] = {
            "finish": {"which": which, "status": status},
            "requeue": {"which": which, "delay_s": 4.0},
            "renew": {"which": which},
            "hand_back": {"which": which},
            "sweep": {},
        }
        if self.claims or call in ("create", "claim", "cancel", "sweep"):
            given = arguments.get(call, {"job": job})
            self.interlopers[:] = [lambda: getattr(self, call)(worker=worker, **given)]

    @invariant()
    def each_job_is_as_expected(self) -> None:
        for job, expected in self.expected.items() if hasattr(self, "stores") else ():
            self.compare(self.stores[0].get("acme", job), expected)

    def compare(self, record: JobRecord | None, expected: ExpectedJob) -> None:
        if record is None:
            assert expected.status is None
            return
        assert (record.status, record.attempt, record.handbacks) == (
            expected.status,
            expected.attempt,
            expected.handbacks,
        )
        assert record.attempt + record.handbacks == record.fencing_token == expected.claims
        assert record.cancel_requested == expected.cancel_requested
        assert tuple(output.key for output in record.outputs) == expected.output_keys
        assert len(expected.winners) <= 1
        assert record.status.is_terminal == (record.expires_at is not None)
        if record.status.is_terminal:
            assert (webhook_of(record) if record.webhooks_due else None) == expected.webhook_due
            untold = replace(record, webhooks_due=(), webhook_error=None, due_at=None, revision=0)
            expected.end = expected.end or untold
            assert untold == expected.end, "a terminal state changed"

    @invariant()
    def a_lease_that_ran_out_and_a_webhook_are_due(self) -> None:
        for job, expected in self.expected.items() if hasattr(self, "stores") else ():
            over = expected.status is Status.RUNNING and expected.lease_expires_at <= self.now(0)
            untold = expected.webhook_due is not None and expected.webhook_due[0] <= self.now(0)
            if over or untold:
                assert facts(job).key in self.stores[0].due(due_shard(facts(job).key))

    def now(self, worker: int) -> float:
        return self.clocks[worker].wall()

    def held(self, which: int) -> Claim:
        return self.claims[which % len(self.claims)]


def webhook_of(record: JobRecord) -> tuple[float, int]:
    [due] = record.webhooks_due
    return due.due_at, due.tries


def facts(job: str) -> JobFacts:
    return JobFacts(
        tenant="acme",
        job_id=job,
        request_sha256="a" * 64,
        workflow_sha256="b" * 64,
        max_attempts=JOBS[job],
        ttl_s=2_592_000,
        webhook=TARGET if job in TELLING else None,
    )


def ended(claim: Claim, status: Status) -> Outcome:
    """An outcome whose outputs lie under the claim's own token."""
    if status is not Status.COMPLETED:
        return Outcome(status=status, error=LATER)
    key = f"outputs/acme/{claim.record.job_id}/{claim.fencing_token}/9_0_a.png"
    output = StoredOutput(
        node_id="9", kind="image", filename="a.png", key=key, content_type="image/png", size_bytes=1, sha256="c" * 64
    )
    return Outcome(status=status, outputs=(output,))


def kept(call: Callable[[], Any]) -> Any:
    """What `call` gives; None if the claim had lost its job."""
    try:
        return call()
    except LeaseLost:
        return None


@contextmanager
def on_sqlite() -> Iterator[tuple[Backend, list[Callable[[], None]]]]:
    """A file for each run; a transaction there has no moment between its read and its write."""
    stores: list[SqliteJobStore] = []
    with tempfile.TemporaryDirectory() as folder:

        def open_stores(clocks: Sequence[ManualClock]) -> Sequence[JobStore]:
            path = Path(folder) / f"{len(stores)}.db"
            stores.extend(SqliteJobStore(path, clock=clock) for clock in clocks)
            return stores[-len(clocks) :]

        yield open_stores, []
        for store in stores:
            store.close()


@contextmanager
def on_moto() -> Iterator[tuple[Backend, list[Callable[[], None]]]]:
    """A table for each run; what is in the list is called once before the next write."""
    access = AwsAccess(region="eu-west-1", access_key_id="AKIDTEST", secret_access_key="not-a-secret")
    interlopers: list[Callable[[], None]] = []
    numbers = itertools.count()

    def interlope(**_: Any) -> None:
        if interlopers:
            interlopers.pop()()

    with mock_aws():

        def open_stores(clocks: Sequence[ManualClock]) -> Sequence[JobStore]:
            table = f"jobs-{next(numbers)}"
            create_table(access.session.client("dynamodb"), table)
            stores = [DynamoJobStore(table, access=access, clock=clock) for clock in clocks]
            for store in stores:
                for write in ("PutItem", "UpdateItem"):
                    store._table.client().meta.events.register(f"before-call.dynamodb.{write}", interlope)
            return stores

        yield open_stores, interlopers


@pytest.mark.parametrize(
    ("backend", "examples"),
    [
        pytest.param(on_sqlite, 60, id="sqlite"),
        pytest.param(on_moto, 12, id="moto"),
        pytest.param(on_sqlite, 5_000, id="sqlite-full", marks=pytest.mark.slow),
        pytest.param(on_moto, 300, id="moto-full", marks=[pytest.mark.slow, pytest.mark.timeout(1_800)]),
    ],
)
def test_any_interleaving_of_workers_keeps_what_a_job_promises(backend: Any, examples: int) -> None:
    with backend() as (open_stores, interlopers):
        run_state_machine_as_test(
            lambda: Workers(open_stores, interlopers),
            settings=settings(
                max_examples=examples,
                stateful_step_count=40,
                deadline=None,
                database=None,
                derandomize=examples < 100,
                suppress_health_check=list(HealthCheck),
            ),
        )
