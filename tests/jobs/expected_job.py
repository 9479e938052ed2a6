"""What a job must look like after each call, told without the product's own transitions."""

from __future__ import annotations

from dataclasses import dataclass, field

from runtime.jobs.leases import GRACE_S, LEASE_S
from runtime.jobs.record import JobRecord, Status
from runtime.jobs.transitions import ABANDONED_S

ENDED = frozenset({Status.COMPLETED, Status.FAILED, Status.TIMED_OUT, Status.CANCELLED})


@dataclass
class ExpectedJob:
    """One job as its callers may rely on it; every call answers whether it got what it asked for.

    `now` is the caller's own wall clock, which may be wrong by seconds.
    """

    max_attempts: int
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
                self.status = Status.CANCELLED if self.cancel_requested else Status.FAILED
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

    def finish(self, token: int, status: Status, keys: tuple[str, ...]) -> bool:
        if self.status is status and token == self.claims:
            return True  # told again, or told of an end that came without it
        if not self._is_held_by(token):
            return False
        self.status, self.output_keys = status, keys
        self.winners.append(token)
        return True

    def hand_back(self, token: int, now: float) -> bool | None:
        if not self._is_held_by(token):
            return self._told_again(token)
        if self.cancel_requested:
            self.status = Status.CANCELLED
        else:
            self._wait(now)
            self.attempt -= 1
            self.handbacks += 1
        return True

    def requeue(self, token: int, not_before: float) -> bool | None:
        if not self._is_held_by(token):
            return self._told_again(token)
        if self.cancel_requested:
            self.status = Status.CANCELLED
        elif self.attempt >= self.max_attempts:
            self.status = Status.FAILED
        else:
            self._wait(not_before)
        return True

    def sweep(self, now: float) -> None:
        if self.status is Status.PENDING and now >= self.given_up_at:
            self.status = Status.TIMED_OUT
        elif self.status is Status.RUNNING and now >= self.lease_expires_at + GRACE_S:
            if self.cancel_requested or self.attempt >= self.max_attempts:
                self.status = Status.CANCELLED if self.cancel_requested else Status.FAILED
            else:
                self._wait(now)

    def cancel(self, now: float) -> None:
        if self.status is None or self.status in ENDED:
            return
        self.cancel_requested = True
        lease_is_over = self.status is Status.RUNNING and now >= self.lease_expires_at + GRACE_S
        if self.status is Status.PENDING or lease_is_over:
            self.status = Status.CANCELLED

    def _wait(self, not_before: float) -> None:
        self.status, self.not_before = Status.PENDING, not_before
        self.given_up_at = not_before + ABANDONED_S

    def _is_held_by(self, token: int) -> bool:
        return self.status is Status.RUNNING and token == self.claims

    def _told_again(self, token: int) -> bool | None:
        """None: whoever gave the job back itself may hear that it did, or that it lost it; the job stays as it is."""
        return None if token == self.claims else False
