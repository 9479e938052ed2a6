from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.clock import ManualClock
from runtime.errors import Internal, LeaseLost
from runtime.jobs import transitions
from runtime.jobs.leases import GRACE_S, LEASE_S, QUIET_S, RENEW_EVERY_S, Claim
from runtime.jobs.record import JobFacts, JobRecord, Outcome, Status

FACTS = JobFacts(tenant="acme", job_id="job-1", request_sha256="a" * 64, workflow_sha256="b" * 64, max_attempts=3)

MOVES = [(origin, end) for origin in (None, *Status) for end in Status]


def record(status: Status) -> JobRecord:
    return JobRecord(**vars(FACTS), status=status, created_at="2026-01-01T00:00:00.000000Z", revision=4)


@pytest.mark.parametrize(("origin", "end"), MOVES, ids=[f"{o and o.value}-{e.value}" for o, e in MOVES])
def test_no_move_leaves_the_table(origin: Status | None, end: Status) -> None:
    before = record(origin) if origin else None
    if end in transitions.LEGAL[origin]:
        after = transitions.apply(lambda _: record(end), before)
        assert after == replace(record(end), revision=5 if origin else 1)
    else:
        with pytest.raises(Internal, match="cannot go from"):
            transitions.apply(lambda _: record(end), before)


def test_what_has_ended_may_go_nowhere() -> None:
    assert [status for status in Status if not transitions.LEGAL[status]] == [s for s in Status if s.is_terminal]


def test_a_move_that_changes_nothing_is_no_revision() -> None:
    before = record(Status.COMPLETED)
    assert transitions.apply(transitions.request_cancel(now=0), before) is before


def test_a_holder_is_quiet_before_its_lease_ends() -> None:
    claim = Claim(record=record(Status.RUNNING), lease_ends=LEASE_S)
    assert claim.may_publish(LEASE_S - QUIET_S - 0.01)
    assert not claim.may_publish(LEASE_S - QUIET_S)


def test_a_heartbeat_may_be_missed_once_before_a_holder_falls_quiet() -> None:
    assert 2 * RENEW_EVERY_S < LEASE_S - QUIET_S


class Scene:
    """Three workers with clocks apart by seconds, and one record that they move in turn."""

    def __init__(self, skews: list[float]) -> None:
        self.clock = ManualClock()
        self.skews = skews
        self.record: JobRecord | None = None
        self.claims: dict[int, Claim] = {}
        self.claimed = 0
        self.ended: list[JobRecord] = []

    def step(self, worker: int, action: str) -> None:
        now = self.clock.wall() + self.skews[worker]
        move = self._move(worker, action, now)
        if move is None:
            return
        before = self.record
        try:
            self.record = transitions.apply(move, before)
        except LeaseLost:
            return
        self._note(worker, action, before)

    def _move(self, worker: int, action: str, now: float) -> transitions.Move | None:
        if action == "claim":
            return transitions.claim(FACTS, worker_id=f"worker-{worker}", now=now)
        if action == "cancel":
            return transitions.request_cancel(now=now)
        if action == "wait" or worker not in self.claims:
            self.clock.advance(25)
            return None
        claim = self.claims[worker]
        if action == "renew":
            return transitions.renew(claim, progress=None, now=now)
        if action == "hand back":
            return transitions.hand_back(claim, now=now)
        outcome = Outcome(status=Status.COMPLETED, engine=f"of token {claim.fencing_token}")
        return transitions.finish(claim, outcome, now=now)

    def _note(self, worker: int, action: str, before: JobRecord | None) -> None:
        after = self.record
        if after is before or after is None:
            return
        if after.status.is_terminal:
            self.ended.append(after)
        elif action == "claim":
            self.claimed += 1
            self.claims[worker] = Claim(record=after, lease_ends=self.clock.monotonic() + LEASE_S)


ACTIONS = st.sampled_from(["claim", "renew", "finish", "hand back", "cancel", "wait", "wait", "wait"])


@given(
    skews=st.lists(st.floats(-GRACE_S, GRACE_S), min_size=3, max_size=3),
    steps=st.lists(st.tuples(st.integers(0, 2), ACTIONS), max_size=40),
)
def test_whatever_happens_a_job_ends_at_most_once_and_every_claim_is_counted(
    skews: list[float], steps: list[tuple[int, str]]
) -> None:
    scene = Scene(skews)
    for worker, action in steps:
        scene.step(worker, action)
        if scene.record is not None:
            assert scene.record.attempt + scene.record.handbacks == scene.record.fencing_token == scene.claimed
            assert scene.record.attempt <= FACTS.max_attempts
    assert len(scene.ended) <= 1
    if scene.ended:
        assert scene.record is scene.ended[0]
    if scene.record and scene.record.status is Status.COMPLETED:
        assert scene.record.engine == f"of token {scene.claimed}"
