"""Webhooks that a worker did not deliver, delivered by the sweeper."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from runtime.errors import StateUnavailable
from runtime.jobs.leases import GRACE_S, LEASE_S, Claim
from runtime.jobs.record import JobFacts, JobRecord, Outcome, Status
from runtime.jobs.sqlite import SqliteJobStore
from runtime.jobs.store import due_shard
from runtime.jobs.transitions import SENT_AGAIN_S
from runtime.jobs.webhook_moves import HOLD_S
from runtime.sweeper import Sweeper, Swept
from runtime.webhooks.courier import Courier

from .conftest import Receiver, ShiftedClock

FACTS = JobFacts(tenant="acme", job_id="job", request_sha256="a" * 64, workflow_sha256="b" * 64)


@pytest.fixture
def sweeper(jobs: SqliteJobStore, clock: ShiftedClock, courier: Courier) -> Sweeper:
    return Sweeper(jobs=jobs, clock=clock, courier=courier)


def test_what_a_killed_worker_did_not_tell_is_told(
    sweeper: Sweeper, held: JobRecord, receiver: Receiver, clock: ShiftedClock
) -> None:
    assert sweeper.sweep() == Swept()
    clock.ahead_s = HOLD_S
    assert sweeper.sweep() == Swept(webhooks_delivered=1)
    assert sweeper.sweep() == Swept()
    assert len(receiver.received) == 1


def test_a_job_that_the_sweeper_ends_is_told_of(
    sweeper: Sweeper, jobs: SqliteJobStore, claim: Claim, receiver: Receiver, clock: ShiftedClock
) -> None:
    jobs.request_cancel(*claim.record.key)
    clock.ahead_s = LEASE_S + GRACE_S
    assert sweeper.sweep() == Swept(ended=1)
    clock.ahead_s += HOLD_S
    assert sweeper.sweep() == Swept(webhooks_delivered=1)
    assert json.loads(receiver.received[0][1])["data"]["status"] == "cancelled"


@pytest.mark.parametrize("waited_s", [0, SENT_AGAIN_S], ids=["handed back just now", "for long"])
def test_300_jobs_that_wait_delay_neither_a_webhook_nor_a_lost_job(
    sweeper: Sweeper, jobs: SqliteJobStore, held: JobRecord, receiver: Receiver, clock: ShiftedClock, waited_s: float
) -> None:
    alike = (replace(FACTS, job_id=f"other-{number}") for number in itertools.count())
    *waiting, lost = itertools.islice((job for job in alike if due_shard(job.key) == due_shard(held.key)), 301)
    for job in (*waiting, lost):
        claim = jobs.claim(job, worker_id="worker-a")
        assert isinstance(claim, Claim)
        if job is not lost:
            jobs.hand_back(claim)
    clock.ahead_s = waited_s + LEASE_S + GRACE_S
    assert sweeper.sweep() == Swept(requeued=1, webhooks_delivered=1)
    assert len(receiver.received) == 1


def test_a_receiver_that_refuses_is_counted(
    sweeper: Sweeper, held: JobRecord, receiver: Receiver, clock: ShiftedClock
) -> None:
    receiver.answers = [(500, {}), (410, {})]
    clock.ahead_s = HOLD_S
    assert sweeper.sweep() == Swept(webhooks_failed=1)
    clock.ahead_s += 15
    swept = sweeper.sweep()
    assert (swept, str(swept)) == (Swept(webhooks_given_up=1), "webhooks given up 1")


def test_two_sweepers_at_once_tell_of_every_job_once(
    sweeper: Sweeper, jobs: SqliteJobStore, facts: JobFacts, receiver: Receiver, clock: ShiftedClock
) -> None:
    for number in range(40):
        other = jobs.claim(replace(facts, job_id=f"other-{number}"), worker_id="worker-a")
        assert isinstance(other, Claim)
        jobs.finish(other, Outcome(status=Status.COMPLETED))
    clock.ahead_s = HOLD_S
    with ThreadPoolExecutor(2) as pool:
        swept = list(pool.map(lambda _: sweeper.sweep(), range(2)))
    assert sum(one.webhooks_delivered for one in swept) == 40
    assert len({headers["webhook-id"] for headers, _ in receiver.received}) == len(receiver.received) == 40


class Deaf(SqliteJobStore):
    """A store that cannot be written to once a call was made."""

    def settle_webhook(self, held: JobRecord, *, failure: str | None = None, retry_at: float | None = None) -> None:
        raise StateUnavailable("no answer")


def test_a_call_that_could_not_be_noted_is_made_again(
    make_courier: Callable[..., Courier], held: JobRecord, receiver: Receiver, jobs: SqliteJobStore, clock: ShiftedClock
) -> None:
    courier = make_courier()
    well = courier._jobs
    courier._jobs = Deaf(jobs._file._path, clock=clock)
    clock.ahead_s = HOLD_S
    assert Sweeper(jobs=jobs, clock=clock, courier=courier).sweep() == Swept(errors=1)
    courier._jobs = well
    clock.ahead_s += HOLD_S
    assert Sweeper(jobs=jobs, clock=clock, courier=courier).sweep() == Swept(webhooks_delivered=1)
    assert receiver.received[0][0]["webhook-id"] == receiver.received[1][0]["webhook-id"]
