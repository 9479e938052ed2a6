"""What a store does with jobs that nobody moves any more, on each store."""

from __future__ import annotations

from dataclasses import replace

import pytest

from runtime.clock import ManualClock
from runtime.jobs import transitions
from runtime.jobs.leases import GRACE_S, LEASE_S, Claim
from runtime.jobs.record import JobFacts, JobRecord, Outcome, Status
from runtime.jobs.store import JobStore, due_shard
from runtime.jobs.transitions import ABANDONED_S, SENT_AGAIN_S


def claimed(store: JobStore, facts: JobFacts) -> Claim:
    claim = store.claim(facts, worker_id="worker-a")
    assert isinstance(claim, Claim)
    return claim


def expired(store: JobStore, known: JobRecord) -> JobRecord:
    moved = store.expire(known)
    assert moved is not None
    assert moved == store.get(*known.key)
    return moved


def is_due(store: JobStore, facts: JobFacts) -> bool:
    return facts.key in store.due(due_shard(facts.key))


def test_a_lost_job_with_attempts_left_waits_for_its_platform(
    store: JobStore, facts: JobFacts, clock: ManualClock
) -> None:
    running = claimed(store, facts).record
    clock.advance(LEASE_S + GRACE_S)
    moved = expired(store, running)
    assert (moved.status, moved.attempt, moved.handbacks) == (Status.PENDING, 1, 0)
    assert (moved.worker_id, moved.lease_expires_at, moved.due_at) == (None, None, clock.wall() + SENT_AGAIN_S)
    assert claimed(store, facts).fencing_token == 2


def test_a_lost_job_without_attempts_left_fails(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    running = claimed(store, replace(facts, max_attempts=1)).record
    clock.advance(LEASE_S + GRACE_S)
    moved = expired(store, running)
    assert moved.status is Status.FAILED
    assert moved.error is not None
    assert moved.error.code == "lease_lost"
    assert not is_due(store, facts)


def test_a_lost_job_that_was_to_stop_is_cancelled(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    claimed(store, facts)
    asked = store.request_cancel(*facts.key)
    assert asked is not None
    clock.advance(LEASE_S + GRACE_S)
    assert expired(store, asked).status is Status.CANCELLED


def test_a_job_is_left_alone_until_the_grace_of_its_lease_is_over(
    store: JobStore, facts: JobFacts, clock: ManualClock
) -> None:
    running = claimed(store, facts).record
    clock.advance(LEASE_S + GRACE_S - 1)
    assert is_due(store, facts)
    assert store.expire(running) is None
    assert store.get(*facts.key) == running


def test_a_renewal_meanwhile_keeps_the_job(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    claim = claimed(store, facts)
    clock.advance(LEASE_S + GRACE_S)
    renewed = store.renew(claim).record
    assert store.expire(claim.record) is None
    assert store.get(*facts.key) == renewed


def test_two_callers_move_a_job_once(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    running = claimed(store, facts).record
    clock.advance(LEASE_S + GRACE_S)
    assert expired(store, running)
    clock.advance(0.5)  # at the very same moment both would have written the same
    assert store.expire(running) is None


def test_a_job_that_no_worker_took_until_its_deadline_is_timed_out(
    store: JobStore, facts: JobFacts, clock: ManualClock
) -> None:
    created = store.create(facts, dispatch_by=clock.wall() + 600)
    clock.advance(599)
    assert store.expire(created) is None
    clock.advance(1)
    moved = expired(store, created)
    assert moved.status is Status.TIMED_OUT
    assert moved.error is not None
    assert moved.error.message == "no worker took the job in time since it was dispatched"


def test_a_job_handed_back_has_hours_to_be_brought_again(store: JobStore, facts: JobFacts, clock: ManualClock) -> None:
    waiting = store.hand_back(claimed(store, facts))
    clock.advance(SENT_AGAIN_S - 1)
    assert store.expire(waiting) is None
    clock.advance(ABANDONED_S - SENT_AGAIN_S)
    put_off = expired(store, waiting)
    assert (put_off.status, put_off.due_at) == (Status.PENDING, put_off.waits_until)
    clock.advance(1)
    assert expired(store, put_off).status is Status.TIMED_OUT


def test_a_job_of_the_release_before_is_put_off_from_when_it_was_due(
    store: JobStore, facts: JobFacts, clock: ManualClock
) -> None:
    waiting = store.hand_back(claimed(store, facts))
    of_before = replace(waiting, due_at=clock.wall(), waits_until=None)
    moved = transitions.apply(transitions.expire(now=clock.wall() + 1), of_before)
    assert moved is not None
    assert moved.waits_until == clock.wall() + ABANDONED_S
    later = transitions.apply(transitions.expire(now=clock.wall() + ABANDONED_S), of_before)
    assert later is not None
    assert later.status is Status.TIMED_OUT


@pytest.mark.parametrize("is_gone", [False, True], ids=["ended", "gone"])
def test_a_job_that_has_ended_or_is_gone_is_nothing_to_move(
    store: JobStore, facts: JobFacts, completed: Outcome, clock: ManualClock, is_gone: bool
) -> None:
    ended = store.finish(claimed(store, facts), completed)
    clock.advance(facts.ttl_s if is_gone else 0)
    assert store.expire(ended) is None


def test_only_a_job_past_its_time_to_live_leaves_the_due_ones(
    store: JobStore, facts: JobFacts, clock: ManualClock
) -> None:
    running = claimed(store, facts).record
    clock.advance(LEASE_S + GRACE_S)
    store.leave_due(facts.key)
    assert is_due(store, facts)
    assert store.get(*facts.key) == running
