"""What a job must look like after each call, told without the product's own transitions."""

from __future__ import annotations

from dataclasses import dataclass, field

from runtime.jobs.leases import GRACE_S, LEASE_S
from runtime.jobs.record import JobRecord, Status
from runtime.jobs.transitions import ABANDONED_S
from runtime.jobs.webhook_moves import HOLD_S

ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.TIMED_OUT, Status.CANCELLED})


@dataclass
class ExpectedJob:
    """One job as its callers may rely on it; every call answers whether it got what it asked for.

    `now` is the caller's own wall clock, which may be wrong by seconds. `webhook_due` is when the webhook of its end is
    due and how often it was tried, None while there is none.
    """

    max_attempts: int
    tells: bool = False
    webhook_due: tuple[float, int] | None = None
    status: Status | None = None
    attempt: int = 0
    handbacks: int = 0
    claims: int = 0
    lease_expires_at: float = 0.0
    not_before: float = 0.0
    given_up_at: float = 0.0
    cancel_requested: bool = False
    output_keys: tuple[str, ...] = ()
    winners: list[int] = field(default_factory=list)
    end: JobRecord | None = None

    def create(self, dispatch_by: float) -> None:
        if self.status is None:
            self.status, self.given_up_at = Status.PENDING, dispatch_by

    def claim(self, now: float) -> bool:
        if self.status in ENDED or (self.status is Status.PENDING and now < self.not_before):
            return False
        if self.status is Status.RUNNING:
            if now < self.lease_expires_at + GRACE_S:
                return False
            if self.cancel_requested or self.attempt >= self.max_attempts:
                self._end(Status.CANCELLED if self.cancel_requested else Status.FAILED, now)
                return False
        self.status = Status.RUNNING
        self.attempt += 1
        self.claims += 1
        self.lease_expires_at = now + LEASE_S
        return True

    def renew(self, token: int, now: float) -> bool:
        if not self._is_held_by(token):
            return False
        self.lease_expires_at = now + LEASE_S
        return True

    def finish(self, token: int, status: Status, keys: tuple[str, ...], now: float) -> bool:
        if self.status is status and token == self.claims:
            return True  # told again, or told of an end that came without it
        if not self._is_held_by(token):
            return False
        self._end(status, now)
        self.output_keys = keys
        self.winners.append(token)
        return True

    def hand_back(self, token: int, now: float) -> bool | None:
        if not self._is_held_by(token):
            return self._told_again(token)
        if self.cancel_requested:
            self._end(Status.CANCELLED, now)
        else:
            self._wait(now)
            self.attempt -= 1
            self.handbacks += 1
        return True

    def requeue(self, token: int, not_before: float, now: float) -> bool | None:
        if not self._is_held_by(token):
            return self._told_again(token)
        if self.cancel_requested:
            self._end(Status.CANCELLED, now)
        elif self.attempt >= self.max_attempts:
            self._end(Status.FAILED, now)
        else:
            self._wait(not_before, not_before=not_before)
        return True

    def sweep(self, now: float) -> None:
        if self.status is Status.PENDING and now >= self.given_up_at:
            self._end(Status.TIMED_OUT, now)
        elif self.status is Status.RUNNING and now >= self.lease_expires_at + GRACE_S:
            if self.cancel_requested or self.attempt >= self.max_attempts:
                self._end(Status.CANCELLED if self.cancel_requested else Status.FAILED, now)
            else:
                self._wait(now)

    def cancel(self, now: float) -> None:
        if self.status is None or self.status in ENDED:
            return
        self.cancel_requested = True
        lease_is_over = self.status is Status.RUNNING and now >= self.lease_expires_at + GRACE_S
        if self.status is Status.PENDING or lease_is_over:
            self._end(Status.CANCELLED, now)

    def take_webhook(self, now: float) -> bool:
        if self.webhook_due is None or self.webhook_due[0] > now:
            return False
        self.webhook_due = (now + HOLD_S, self.webhook_due[1])
        return True

    def settle_webhook(self, held: tuple[float, int], retry_at: float | None) -> None:
        """Of what is no longer held so, nothing changes; without `retry_at` it was delivered, or given up."""
        if self.webhook_due == held:
            self.webhook_due = None if retry_at is None else (retry_at, held[1] + 1)

    def _end(self, status: Status, now: float) -> None:
        self.status = status
        self.webhook_due = (now + HOLD_S, 0) if self.tells else None

    def _wait(self, due_at: float, *, not_before: float = 0.0) -> None:
        self.status, self.not_before = Status.PENDING, not_before
        self.given_up_at = due_at + ABANDONED_S

    def _is_held_by(self, token: int) -> bool:
        return self.status is Status.RUNNING and token == self.claims

    def _told_again(self, token: int) -> bool | None:
        """None: whoever gave the job back itself may hear that it did, or that it lost it; the job stays as it is."""
        return None if token == self.claims else False
