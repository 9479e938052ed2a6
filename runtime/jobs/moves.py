"""The calls that move a job, over the one atomic step that a store provides."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from runtime.clock import Clock
from runtime.errors import Internal
from runtime.jobs import transitions, webhook_moves
from runtime.jobs.leases import LEASE_S, Claim
from runtime.jobs.record import JobError, JobFacts, JobKey, JobRecord, Outcome, Status
from runtime.progress import Progress


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A record after a move, and whether it was this move that changed it."""

    record: JobRecord | None
    changed: bool

    def present(self) -> JobRecord:
        """The record of a move that never leaves a job absent."""
        if self.record is None:
            raise Internal("a job was absent after a move that leaves none absent")
        return self.record


class JobMoves(ABC):
    """`JobStore`'s writing calls; a store adds `_move` and the reading ones."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    @abstractmethod
    def _move(
        self, key: JobKey, move: transitions.Move, *, known: JobRecord | None, request: str | None = None
    ) -> Moved:
        """Apply `move` to the job atomically, and write `request` beside it if that bears it or makes it pending.

        `known` is the record as the caller last saw it, None if it was thought absent: a guess, which may spare a read.
        """

    @abstractmethod
    def get(self, tenant: str, job_id: str) -> JobRecord | None:
        """See JobStore."""

    def create(self, facts: JobFacts, *, dispatch_by: float, request: str | None = None) -> JobRecord:
        move = transitions.create(facts, dispatch_by=dispatch_by, now=self._clock.wall())
        return self._move(facts.key, move, known=None, request=request).present()

    def claim(self, facts: JobFacts, *, worker_id: str, request: str | None = None) -> Claim | JobRecord:
        lease_ends = self._clock.monotonic() + LEASE_S
        move = transitions.claim(facts, worker_id=worker_id, now=self._clock.wall())
        moved = self._move(facts.key, move, known=None, request=request)
        record = moved.present()
        if moved.changed and record.status is Status.RUNNING:
            return Claim(record=record, lease_ends=lease_ends)
        return record

    def renew(self, claim: Claim, progress: Progress | None = None) -> Claim:
        lease_ends = self._clock.monotonic() + LEASE_S
        move = transitions.renew(claim, progress=progress, now=self._clock.wall())
        moved = self._move(claim.record.key, move, known=claim.record)
        return Claim(record=moved.present(), lease_ends=lease_ends)

    def finish(self, claim: Claim, outcome: Outcome) -> JobRecord:
        move = transitions.finish(claim, outcome, now=self._clock.wall())
        return self._move(claim.record.key, move, known=claim.record).present()

    def hand_back(self, claim: Claim, *, request: str | None = None) -> JobRecord:
        move = transitions.hand_back(claim, now=self._clock.wall())
        return self._move(claim.record.key, move, known=claim.record, request=request).present()

    def requeue(self, claim: Claim, error: JobError, *, delay_s: float, request: str | None = None) -> JobRecord:
        now = self._clock.wall()
        move = transitions.requeue(claim, error, not_before=now + delay_s, now=now)
        return self._move(claim.record.key, move, known=claim.record, request=request).present()

    def request_cancel(self, tenant: str, job_id: str) -> JobRecord | None:
        known = self.get(tenant, job_id)
        if known is None:
            return None
        move = transitions.request_cancel(now=self._clock.wall())
        return self._move(known.key, move, known=known).record

    def take_webhook(self, known: JobRecord) -> JobRecord | None:
        moved = self._move(known.key, webhook_moves.take(now=self._clock.wall()), known=known)
        return moved.record if moved.changed else None

    def settle_webhook(self, held: JobRecord, *, failure: str | None = None, retry_at: float | None = None) -> None:
        self._move(held.key, webhook_moves.settle(held, failure=failure, retry_at=retry_at), known=held)

    def expire(self, known: JobRecord) -> JobRecord | None:
        moved = self._move(known.key, transitions.expire(now=self._clock.wall()), known=known)
        return moved.record if moved.changed else None
