"""How a job moves from state to state: one table of the legal moves, and each move as a pure function.

A move takes the record as it stands (None: absent) and gives the record as it shall stand, or the same object where
there is nothing to do. A store applies a move atomically; `apply` is the one place that holds it against the table.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from runtime.clock import utc_text
from runtime.errors import Internal, JobIdTaken, LeaseLost, TimedOut
from runtime.jobs.leases import LEASE_S, Claim, lease_is_over
from runtime.jobs.record import JobError, JobFacts, JobRecord, Outcome, Status
from runtime.jobs.webhook_moves import due_at_end, next_due, only_tells
from runtime.progress import Progress

ABANDONED_S = 6 * 3600.0
"""A job that waits to be brought again (handed back, or lost by its worker) ends after this long."""
SENT_AGAIN_S = 900.0
"""How often the sweeper sends a job again that waits so, in case that its platform does not bring it by itself."""

Move = Callable[["JobRecord | None"], "JobRecord | None"]

LEGAL: Mapping[Status | None, frozenset[Status]] = MappingProxyType(
    {
        None: frozenset({Status.PENDING, Status.RUNNING}),
        Status.PENDING: frozenset(Status) - {Status.COMPLETED},  # pending: sent again
        Status.RUNNING: frozenset(Status),  # running: renewed, taken over, or asked to stop
        **{status: frozenset() for status in Status if status.is_terminal},
    }
)


def apply(move: Move, before: JobRecord | None) -> JobRecord | None:
    """`before` moved, with its revision counted up; the same object if the move changes nothing.

    Of a job that has ended only what is kept of its webhooks may change. Raises Internal for a move that the table
    does not hold, and whatever the move itself refuses with.
    """
    after = move(before)
    if after is before or after is None:
        return before
    origin = before.status if before else None
    if after.status not in LEGAL[origin] and not (before and only_tells(before, after)):
        raise Internal(f"job {after.job_id!r} cannot go from {origin and origin.value} to {after.status.value}")
    return _with(after, revision=before.revision + 1 if before else 1)


def create(facts: JobFacts, *, dispatch_by: float, now: float) -> Move:
    """Absent -> pending, to be claimed before `dispatch_by`. A job that is there already stays as it is."""

    def move(record: JobRecord | None) -> JobRecord:
        if record is None:
            return _born(facts, now=now, due_at=dispatch_by, waits_until=dispatch_by)
        _refuse_another_request(record, facts)
        return record

    return move


def claim(facts: JobFacts, *, worker_id: str, now: float) -> Move:
    """Absent | pending -> running; running -> running under a new fencing token, once the lease is over.

    A job that was requeued waits until its `not_before`. One whose lease is over ends instead if its cancel was asked
    for (cancelled) or no attempt is left (failed). One that is held, or has ended, stays as it is.
    """

    def move(record: JobRecord | None) -> JobRecord:
        if record is None:
            return _held(_born(facts, now=now), worker_id=worker_id, now=now)
        _refuse_another_request(record, facts)
        if record.status is Status.PENDING:
            if record.not_before is not None and now < record.not_before:
                return record
            return _held(record, worker_id=worker_id, now=now)
        if record.status is not Status.RUNNING or not lease_is_over(record, now):
            return record
        return _ended_by_its_lease(record, now=now) or _held(record, worker_id=worker_id, now=now)

    return move


def renew(claim: Claim, *, progress: Progress | None, now: float) -> Move:
    """Running -> running with a whole lease from `now`. Raises LeaseLost unless the claim still holds the job."""

    def move(record: JobRecord | None) -> JobRecord:
        held = _still_held(record, claim)
        lease_expires_at = now + LEASE_S
        return _with(
            held, lease_expires_at=lease_expires_at, due_at=lease_expires_at, progress=progress or held.progress
        )

    return move


def finish(claim: Claim, outcome: Outcome, *, now: float) -> Move:
    """Running -> the outcome's terminal status. The same finish again changes nothing.

    Raises LeaseLost unless the claim still holds the job, Internal for an outcome that is no end.
    """
    if not outcome.status.is_terminal:
        raise Internal(
            f"job {claim.record.job_id!r} cannot finish as {outcome.status.value}: that is no terminal state"
        )

    def move(record: JobRecord | None) -> JobRecord:
        if record and record.status is outcome.status and _is_of_claim(record, claim):
            return record
        return _ended(_still_held(record, claim), outcome, now=now)

    return move


def hand_back(claim: Claim, *, now: float) -> Move:
    """Running -> pending, to be claimed at once; not counted as an attempt.

    A job that was asked to stop is cancelled instead. Raises LeaseLost unless the claim still holds the job.
    """

    def move(record: JobRecord | None) -> JobRecord:
        held = _still_held(record, claim)
        if held.cancel_requested:
            return _ended(held, Outcome(status=Status.CANCELLED, error=_CANCELLED), now=now)
        return _pending(held, since=now, attempt=held.attempt - 1, handbacks=held.handbacks + 1)

    return move


def requeue(claim: Claim, error: JobError, *, not_before: float, now: float) -> Move:
    """Running -> pending, not to be claimed before `not_before`: the attempt counts, and `error` is what it ended with.

    A job that was asked to stop is cancelled instead, one without an attempt left fails. Raises LeaseLost unless the
    claim still holds the job.
    """

    def move(record: JobRecord | None) -> JobRecord:
        held = _still_held(record, claim)
        if held.cancel_requested:
            return _ended(held, Outcome(status=Status.CANCELLED, error=_CANCELLED), now=now)
        if held.attempt >= held.max_attempts:
            return _ended(held, Outcome(status=Status.FAILED, error=error), now=now)
        return _pending(held, since=not_before, error=error, not_before=not_before)

    return move


def request_cancel(*, now: float) -> Move:
    """Pending -> cancelled; running: the holder is asked to stop, or the job is cancelled if its lease is over."""

    def move(record: JobRecord | None) -> JobRecord | None:
        if record is None or record.status.is_terminal:
            return record
        if record.status is Status.PENDING or lease_is_over(record, now):
            return _ended(
                _with(record, cancel_requested=True), Outcome(status=Status.CANCELLED, error=_CANCELLED), now=now
            )
        return record if record.cancel_requested else _with(record, cancel_requested=True)

    return move


def expire(*, now: float) -> Move:
    """What becomes of a job whose `due_at` has passed and that nobody moves any more; any other stays as it is.

    Running, its lease over: pending again, or ended as `claim` would end it. Pending: timed out once its `waits_until`
    has passed; until then one that was claimed before is due again SENT_AGAIN_S later.
    """

    def move(record: JobRecord | None) -> JobRecord | None:
        if record is None or record.status.is_terminal:
            return record
        if record.status is Status.PENDING:
            return _abandoned(record, now=now) if now >= _waits_until(record) else _put_off(record, now=now)
        if not lease_is_over(record, now):
            return record
        return _ended_by_its_lease(record, now=now) or _pending(record, since=now)

    return move


_CANCELLED = JobError(code="cancelled", message="the job was cancelled on request", retryable=False)


def _with(record: JobRecord, **changes: Any) -> JobRecord:
    """`dataclasses.replace` at half its cost: each request pays for it several times."""
    return JobRecord(**{**vars(record), **changes})


def _born(facts: JobFacts, *, now: float, **waits: Any) -> JobRecord:
    return JobRecord(**vars(facts), status=Status.PENDING, created_at=utc_text(now), **waits)


def _pending(record: JobRecord, *, since: float, **changes: Any) -> JobRecord:
    return _with(
        record,
        status=Status.PENDING,
        worker_id=None,
        lease_expires_at=None,
        progress=None,
        due_at=since + SENT_AGAIN_S,
        waits_until=since + ABANDONED_S,
        **changes,
    )


def _held(record: JobRecord, *, worker_id: str, now: float) -> JobRecord:
    lease_expires_at = now + LEASE_S
    return _with(
        record,
        status=Status.RUNNING,
        started_at=utc_text(now),
        attempt=record.attempt + 1,
        fencing_token=record.fencing_token + 1,
        worker_id=worker_id,
        lease_expires_at=lease_expires_at,
        due_at=lease_expires_at,
        not_before=None,
        waits_until=None,
        progress=None,
        error=None,
    )


def _ended(record: JobRecord, outcome: Outcome, *, now: float) -> JobRecord:
    webhooks = due_at_end(record.webhook, outcome.status, now=now)
    return _with(
        record,
        **vars(outcome),
        finished_at=utc_text(now),
        lease_expires_at=None,
        waits_until=None,
        webhooks_due=webhooks,
        due_at=next_due(webhooks),
        expires_at=math.ceil(now) + record.ttl_s,
    )


def _ended_by_its_lease(record: JobRecord, *, now: float) -> JobRecord | None:
    if record.cancel_requested:
        return _ended(record, Outcome(status=Status.CANCELLED, error=_CANCELLED), now=now)
    if record.attempt < record.max_attempts:
        return None
    message = f"the last of {record.max_attempts} attempts ended without a word from worker {record.worker_id!r}"
    error = JobError(code=LeaseLost.code, message=message, retryable=LeaseLost.retryable)
    return _ended(record, Outcome(status=Status.FAILED, error=error), now=now)


def _waits_until(record: JobRecord) -> float:
    """When a pending job is given up. Records of a release before this one hold it by their `due_at` alone."""
    if record.waits_until is not None or record.due_at is None:
        return math.inf if record.waits_until is None else record.waits_until
    return record.due_at + (ABANDONED_S if record.fencing_token else 0.0)


def _put_off(record: JobRecord, *, now: float) -> JobRecord:
    if not record.fencing_token or record.due_at is None or now < record.due_at:
        return record
    waits_until = _waits_until(record)
    return _with(record, due_at=min(now + SENT_AGAIN_S, waits_until), waits_until=waits_until)


def _abandoned(record: JobRecord, *, now: float) -> JobRecord:
    since = "its attempt ended" if record.fencing_token else "it was dispatched"
    error = JobError(code=TimedOut.code, message=f"no worker took the job in time since {since}", retryable=True)
    return _ended(record, Outcome(status=Status.TIMED_OUT, error=error), now=now)


def _is_of_claim(record: JobRecord, claim: Claim) -> bool:
    """Also by its birth: the same id may be another job once the first has expired, and tokens begin again."""
    return record.fencing_token == claim.fencing_token and record.created_at == claim.record.created_at


def _still_held(record: JobRecord | None, claim: Claim) -> JobRecord:
    if record is None or record.status is not Status.RUNNING or not _is_of_claim(record, claim):
        now_is = f"{record.status.value} under token {record.fencing_token}" if record else "absent"
        raise LeaseLost(f"job {claim.record.job_id!r} is {now_is}, and was claimed under token {claim.fencing_token}")
    return record


def _refuse_another_request(record: JobRecord, facts: JobFacts) -> None:
    if record.request_sha256 != facts.request_sha256:
        raise JobIdTaken(
            f"job_id {facts.job_id!r} already names a job with another request: "
            "send the same request, or choose another job_id"
        )
