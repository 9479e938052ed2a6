"""What keeps the state of jobs."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from runtime.clock import epoch_s
from runtime.errors import InvalidRequest
from runtime.jobs.leases import Claim
from runtime.jobs.record import JobError, JobFacts, JobKey, JobRecord, JobSummary, Outcome, Status
from runtime.progress import Progress

DUE_SHARDS = 16


@dataclass(frozen=True, kw_only=True)
class Page:
    """Some jobs of a list, and where the rest begins; `cursor` is None at the end, before which a page may be empty."""

    jobs: tuple[JobSummary, ...]
    cursor: str | None


class JobStore(Protocol):
    """The state of every job, one record each, shared by workers that know nothing of each other.

    Each call is atomic and final when it returns: of several callers that make the same move, one wins. A record moves
    by `transitions.LEGAL` alone, and terminal states never change. A job past its `expires_at` is absent. A call whose
    answer was lost may be made again: it finds its own work done. Every call may raise StateUnavailable, after
    retries of its own and within half a minute.
    """

    def prepare(self) -> None:
        """Open what the first call would open. May be called from another thread, also beside the first call."""

    def close(self) -> None:
        """Give back what is open. The next call opens it again."""

    def create(self, facts: JobFacts, *, dispatch_by: float, request: str | None = None) -> JobRecord:
        """The job `facts`, pending until somebody claims it; `request` is kept for that worker.

        `dispatch_by` in epoch seconds. The same job again is given as it stands now. Raises JobIdTaken if its id
        already names a job with another request.
        """

    def claim(self, facts: JobFacts, *, worker_id: str, request: str | None = None) -> Claim | JobRecord:
        """The right to run the job, whether it was pending, absent, or lost by its worker; else its record.

        One caller at a time holds a job, for `leases.LEASE_S` from before the call; each claim has a higher fencing
        token. A record is what a caller gets of a job that another holds, that has ended, or that ends by this call:
        its lease is over with no attempt left (failed) or a cancel asked for (cancelled); or of one that waits for its
        `not_before`. Raises JobIdTaken as `create` does.
        """

    def renew(self, claim: Claim, progress: Progress | None = None) -> Claim:
        """The claim with a whole lease from now, and with what was asked of the job meanwhile.

        Raises LeaseLost if the claim no longer holds the job: its work is void then.
        """

    def finish(self, claim: Claim, outcome: Outcome) -> JobRecord:
        """The job as it ended, by `outcome`. Raises LeaseLost, and keeps nothing of it, if the claim lost the job."""

    def hand_back(self, claim: Claim, *, request: str | None = None) -> JobRecord:
        """The job, pending again and due at once, without an attempt counted; cancelled if that was asked for.

        `request` is kept for whoever runs it next. Raises LeaseLost if the claim no longer holds the job.
        """

    def requeue(self, claim: Claim, error: JobError, *, delay_s: float, request: str | None = None) -> JobRecord:
        """The job, pending again and not to be claimed for `delay_s` seconds, after an attempt that failed by `error`.

        Cancelled if that was asked for, failed by `error` if no attempt is left. Otherwise as `hand_back`.
        """

    def request_cancel(self, tenant: str, job_id: str) -> JobRecord | None:
        """The job, cancelled if nobody works on it, else with its holder asked to stop; None if it is absent."""

    def get(self, tenant: str, job_id: str) -> JobRecord | None:
        """The job as of the last call that returned, by whomever; None if it is absent."""

    def request_of(self, tenant: str, job_id: str) -> str | None:
        """The request that the job was last created, claimed or made pending with; None if there is none."""

    def list_by_user(
        self,
        tenant: str,
        user_id: str,
        *,
        cursor: str | None = None,
        limit: int = 50,
        status: Status | None = None,
    ) -> Page:
        """A user's jobs, newest first, or those of them that are `status`. May lag behind the writes by a second.

        A page of one status comes from at most EXAMINED jobs, so that it may be short, or empty, before the end. Those
        of ANONYMOUS are listed for ANONYMOUS_DAYS. Raises InvalidRequest for a cursor that is not a page's.
        """

    def list_alike(self, tenant: str, engine: str, likeness: str, *, limit: int = 50) -> Sequence[JobSummary]:
        """Completed jobs of a likeness on an engine, those that ended last first. May lag by a second."""

    def due(self, shard: int, *, limit: int = 100) -> Sequence[JobKey]:
        """Jobs of `shard` (0 to DUE_SHARDS - 1) whose `due_at` has passed, longest overdue first. May lag by 1 s.

        Those that have ended are due for their webhooks; one that has expired may be among them.
        """

    def expire(self, known: JobRecord) -> JobRecord | None:
        """The job as this call moved it, its lease or its time to wait being over; None if there was nothing to move.

        `known` is the job as the caller has just read it. Of several callers one moves it, to pending or to its end.
        """

    def take_webhook(self, known: JobRecord) -> JobRecord | None:
        """The ended job with its next webhook held by the caller; None where none is due, or another caller has it.

        Whoever wrote the end of a job has it first. Nobody else gets it for `webhook_moves.HOLD_S`; a holder that is
        not heard of by then may have made the call or not, and the next one makes it again.
        """

    def settle_webhook(self, held: JobRecord, *, failure: str | None = None, retry_at: float | None = None) -> None:
        """Note what became of the webhook that `held` holds: delivered; else failed, due at `retry_at` or given up.

        Nothing happens once another caller holds it. A job that has expired by `retry_at` gives it up.
        """

    def remove(self, key: JobKey) -> bool:
        """Forget a job that has ended, with the webhooks that it still owed; False for any other."""

    def leave_due(self, key: JobKey) -> None:
        """Take a job that is past its `expires_at` out of `due`; nothing happens to any other."""


ANONYMOUS_DAYS = 31
EXAMINED = 1_000


def likeness_key(record: JobRecord) -> str | None:
    """What a completed job is found by among those like it; None for any other."""
    if record.status is not Status.COMPLETED or record.likeness is None or record.engine is None:
        return None
    return f"{record.tenant}#{record.engine}#{record.likeness}"


def due_shard(key: JobKey) -> int:
    """Which of DUE_SHARDS parts of the due jobs `key` is in."""
    return zlib.crc32(str(key).encode()) % DUE_SHARDS


def write_cursor(created_at: str, job_id: str) -> str:
    """A page's cursor: the place of its last job. It names no tenant and no user, so it opens nobody else's list."""
    return base64.urlsafe_b64encode(f"{created_at} {job_id}".encode()).decode().rstrip("=")


def read_cursor(cursor: str) -> tuple[str, str]:
    """`created_at` and `job_id` of `write_cursor`. Raises InvalidRequest for anything else."""
    padded = cursor + "=" * (-len(cursor) % 4)
    try:
        created_at, job_id = base64.b64decode(padded, b"-_", validate=True).decode().split(" ")
        epoch_s(created_at)
    except ValueError as exc:
        raise InvalidRequest(f"cursor {cursor[:80]!r} is not one that a page of jobs gave") from exc
    return created_at, job_id
