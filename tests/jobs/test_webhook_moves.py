"""Whoever crashes when, the webhook of a job that has ended is kept until it was heard or given up."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from runtime.jobs import transitions, webhook_moves
from runtime.jobs.leases import Claim
from runtime.jobs.record import JobFacts, JobRecord, Outcome, Status, WebhookTarget
from runtime.jobs.webhook_moves import HOLD_S

FACTS = JobFacts(
    tenant="acme",
    job_id="job-1",
    request_sha256="a" * 64,
    workflow_sha256="b" * 64,
    webhook=WebhookTarget(url="https://a.example", events=("completed",)),
)
BEGAN = 1_800_000_000.0


def ended() -> JobRecord:
    running = transitions.apply(transitions.claim(FACTS, worker_id="worker-0", now=BEGAN), None)
    assert running is not None
    claim = Claim(record=running, lease_ends=0.0)
    record = transitions.apply(transitions.finish(claim, Outcome(status=Status.COMPLETED), now=BEGAN), running)
    assert record is not None
    return record


class Callers:
    """Some callers of one webhook; what each holds, as it last read it, and when the receiver was called."""

    def __init__(self) -> None:
        self.end = self.record = ended()
        self.now = BEGAN
        self.holds: dict[int, JobRecord] = {0: self.record}
        self.heard = False

    def step(self, caller: int, action: str) -> None:
        if action == "wait":
            self.now += HOLD_S / 2
        elif action == "take":
            self._move_to(caller, webhook_moves.take(now=self.now))
        elif action == "crash":
            self.holds.pop(caller, None)
        elif caller in self.holds:
            self._call(self.holds.pop(caller), action)

    def _call(self, held: JobRecord, action: str) -> None:
        """The receiver hears it or not; a caller that crashes after it was heard leaves no note."""
        self.heard = self.heard or action in ("deliver", "deliver and crash")
        if action == "deliver":
            self._apply(webhook_moves.settle(held, failure=None, retry_at=None))
        elif action == "fail":
            self._apply(webhook_moves.settle(held, failure="no answer", retry_at=self.now + 15))
        elif action == "give up":
            self._apply(webhook_moves.settle(held, failure="gone", retry_at=None))

    def _move_to(self, caller: int, move: transitions.Move) -> None:
        before = self.record
        self._apply(move)
        if self.record is not before:
            self.holds[caller] = self.record

    def _apply(self, move: transitions.Move) -> None:
        after = transitions.apply(move, self.record)
        assert after is not None
        self.record = after


ACTIONS = st.sampled_from(["take", "deliver", "deliver and crash", "fail", "give up", "crash", "wait", "wait", "take"])


@given(st.lists(st.tuples(st.integers(0, 2), ACTIONS), max_size=40))
def test_a_webhook_that_is_due_is_kept_through_any_crash(steps: list[tuple[int, str]]) -> None:
    callers = Callers()
    for caller, action in steps:
        callers.step(caller, action)
        record = callers.record
        assert record.webhooks_due or callers.heard or record.webhook_error
        assert (record.due_at is None) == (record.webhooks_due == ())
        told = replace(callers.end, webhooks_due=(), due_at=None, revision=0)
        assert replace(record, webhooks_due=(), due_at=None, webhook_error=None, revision=0) == told
    if callers.record.webhooks_due:  # and nobody waits for it longer than a hold
        assert callers.record.webhooks_due[0].due_at <= callers.now + HOLD_S
