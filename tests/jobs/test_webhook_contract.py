"""How a store keeps the webhooks that are due, on each store."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from runtime.clock import ManualClock
from runtime.jobs.leases import GRACE_S, LEASE_S, Claim
from runtime.jobs.record import DueWebhook, JobError, JobFacts, JobRecord, Outcome, Status, WebhookTarget
from runtime.jobs.store import JobStore, due_shard
from runtime.jobs.webhook_moves import HOLD_S

TARGET = WebhookTarget(url="https://a.example/hook?token=s3cret", events=("completed", "failed"), url_ttl_s=60)


@pytest.fixture
def facts(facts: JobFacts) -> JobFacts:
    return replace(facts, webhook=TARGET, max_attempts=1)


def claimed(store: JobStore, facts: JobFacts) -> Claim:
    claim = store.claim(facts, worker_id="worker-a")
    assert isinstance(claim, Claim)
    return claim


def stored(store: JobStore, facts: JobFacts) -> JobRecord:
    record = store.get(*facts.key)
    assert record is not None
    return record


def is_due(store: JobStore, facts: JobFacts) -> bool:
    return facts.key in store.due(due_shard(facts.key))


def taken(store: JobStore, facts: JobFacts) -> JobRecord:
    record = store.take_webhook(stored(store, facts))
    assert record is not None
    return record


ENDS: dict[str, Callable[[JobStore, JobFacts, ManualClock], object]] = {
    "finished": lambda store, facts, _: store.finish(claimed(store, facts), Outcome(status=Status.TIMED_OUT)),
    "cancelled while pending": lambda store, facts, _: (
        store.create(facts, dispatch_by=0),
        store.request_cancel(*facts.key),
    ),
    "cancelled as it was handed back": lambda store, facts, _: (
        claim := claimed(store, facts),
        store.request_cancel(*facts.key),
        store.hand_back(claim),
    ),
    "failed without an attempt left": lambda store, facts, _: store.requeue(
        claimed(store, facts), JobError(code="internal", message="no", retryable=True), delay_s=1
    ),
    "lost by its worker": lambda store, facts, clock: (
        claim := claimed(store, facts),
        clock.advance(LEASE_S + GRACE_S),
        store.expire(claim.record),
    ),
    "never taken": lambda store, facts, clock: store.expire(store.create(facts, dispatch_by=clock.wall())),
}


@pytest.mark.parametrize("end", ENDS)
def test_every_end_writes_its_webhook_with_it(store: JobStore, facts: JobFacts, clock: ManualClock, end: str) -> None:
    ENDS[end](store, facts, clock)
    record = stored(store, facts)
    assert record.status.is_terminal
    assert record.webhooks_due == (DueWebhook(event="failed", due_at=clock.wall() + HOLD_S),)
    assert record.due_at == record.webhooks_due[0].due_at
    assert record.webhook == TARGET
    clock.advance(HOLD_S)
    assert is_due(store, facts)


def test_who_asked_for_another_event_is_not_told(store: JobStore, facts: JobFacts, completed: Outcome) -> None:
    only_failed = replace(facts, webhook=replace(TARGET, events=("failed", "progress")))
    record = store.finish(claimed(store, only_failed), completed)
    assert (record.webhooks_due, record.due_at) == ((), None)
    store.settle_webhook(record)
    assert stored(store, facts) == record


def test_who_wrote_the_end_has_the_webhook_first(
    store: JobStore, facts: JobFacts, completed: Outcome, clock: ManualClock
) -> None:
    ended = store.finish(claimed(store, facts), completed)
    clock.advance(HOLD_S - 1)
    assert not is_due(store, facts)
    assert store.take_webhook(ended) is None


def test_one_of_several_takers_has_it(store: JobStore, facts: JobFacts, completed: Outcome, clock: ManualClock) -> None:
    ended = store.finish(claimed(store, facts), completed)
    clock.advance(HOLD_S)
    held = store.take_webhook(ended)
    assert held is not None
    assert held == stored(store, facts)
    clock.advance(0.5)
    assert store.take_webhook(ended) is None
    assert not is_due(store, facts)


def test_one_that_was_heard_is_due_no_more(
    store: JobStore, facts: JobFacts, completed: Outcome, clock: ManualClock
) -> None:
    ended = store.finish(claimed(store, facts), completed)
    store.settle_webhook(ended)
    expected = replace(ended, webhooks_due=(), due_at=None, revision=ended.revision + 1)
    assert stored(store, facts) == expected
    clock.advance(HOLD_S)
    assert not is_due(store, facts)
    assert store.take_webhook(expected) is None


def test_one_that_failed_is_due_again(store: JobStore, facts: JobFacts, completed: Outcome, clock: ManualClock) -> None:
    store.finish(claimed(store, facts), completed)
    clock.advance(HOLD_S)
    store.settle_webhook(taken(store, facts), failure="answered 500", retry_at=clock.wall() + 15)
    assert stored(store, facts).webhooks_due == (DueWebhook(event="completed", due_at=clock.wall() + 15, tries=1),)
    clock.advance(15)
    assert is_due(store, facts)
    store.settle_webhook(taken(store, facts), failure="answered 501")
    record = stored(store, facts)
    assert (record.webhooks_due, record.due_at, record.webhook_error) == ((), None, "answered 501")
    assert record.outputs == completed.outputs


def test_one_whose_hold_is_over_changes_nothing(
    store: JobStore, facts: JobFacts, completed: Outcome, clock: ManualClock
) -> None:
    first = store.finish(claimed(store, facts), completed)
    clock.advance(HOLD_S)
    second = taken(store, facts)
    store.settle_webhook(first, failure="late")
    assert stored(store, facts) == second


def test_one_is_given_up_as_its_job_expires(
    store: JobStore, facts: JobFacts, completed: Outcome, clock: ManualClock
) -> None:
    ended = store.finish(claimed(store, facts), completed)
    store.settle_webhook(ended, failure="answered 500", retry_at=clock.wall() + facts.ttl_s)
    assert stored(store, facts).webhook_error == "answered 500"


def test_a_job_that_expired_unheard_leaves_the_due_ones(
    store: JobStore, facts: JobFacts, completed: Outcome, clock: ManualClock
) -> None:
    store.finish(claimed(store, facts), completed)
    clock.advance(facts.ttl_s)
    assert is_due(store, facts)
    store.leave_due(facts.key)
    assert not is_due(store, facts)


def test_a_job_reborn_is_not_settled_by_the_first_one_s_caller(
    store: JobStore, facts: JobFacts, completed: Outcome, clock: ManualClock
) -> None:
    first = store.finish(claimed(store, facts), completed)
    clock.advance(facts.ttl_s)
    second = store.finish(claimed(store, facts), completed)
    store.settle_webhook(first)
    assert stored(store, facts) == second
