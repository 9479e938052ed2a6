"""One request's course through a worker: claimed, attempted, and its end, or its return to the others, written."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from runtime.artifacts.previews import StoredPreviews
from runtime.attempt import Attempt, Finished
from runtime.cancellation import CancelFlag
from runtime.clock import epoch_s
from runtime.errors import Cancelled, HandedBack, Internal, LeaseLost, NodeFailed, ServerlessError, StateUnavailable
from runtime.jobs.leases import GRACE_S, LEASE_S, Claim
from runtime.jobs.record import JobError, JobFacts, JobRecord, Origin, Status
from runtime.progress import Progress, ProgressSink
from runtime.request import JobRequest
from runtime.result import JobResult
from runtime.results import recorded_result, result_of, waiting_result
from runtime.retries import Requeue, may_retry, retry_delay_s
from runtime.telemetry.context import belonging_to
from runtime.telemetry.jobs import record_end
from runtime.telemetry.traces import past_span, span

if TYPE_CHECKING:
    from runtime.worker import Parts

_log = logging.getLogger(__name__)

STORE_AWAY_S = 30.0
"""How long a queue keeps a request whose job store cannot be asked."""
TAKEN_OVER_S = LEASE_S + GRACE_S
"""How long until a job is free whose holder may be gone."""


class Course:
    """Runs one request; see `Worker.run`."""

    def __init__(
        self,
        parts: Parts,
        request: JobRequest,
        facts: JobFacts,
        *,
        flag: CancelFlag,
        on_progress: ProgressSink,
        requeue: Requeue,
    ) -> None:
        self._parts = parts
        self._request = request
        self._facts = facts
        self._flag = flag
        self._on_progress = on_progress
        self._requeue = requeue

    def run(self) -> JobResult:
        """Claim the job and run it, or answer where it stands. Raises what the claim does."""
        stopped = self._flag.reason
        if isinstance(stopped, HandedBack):  # before it began: the job stays as it is
            return self._waiting(stopped, 0.0)
        if isinstance(stopped, Cancelled) and (withdrawn := self._withdraw()) is not None:
            return self._recorded(withdrawn)
        try:
            claim = self._parts.jobs.claim(self._facts, worker_id=self._parts.worker_id)
        except StateUnavailable as exc:
            if self._requeue != "anywhere":
                raise
            return self._waiting(exc, STORE_AWAY_S)
        self._apply_spool()
        if isinstance(claim, JobRecord):
            return self._standing(claim)
        with _as_it_was_sent(claim.record):
            return self._run_claimed(claim)

    def _withdraw(self) -> JobRecord | None:
        """The job as its cancel left it, where it waits or runs elsewhere; None where it was never begun."""
        jobs, key = self._parts.jobs, self._facts.key
        found = jobs.get(*key)
        is_same = found is not None and found.request_sha256 == self._facts.request_sha256
        return jobs.request_cancel(*key) if is_same else None

    def _apply_spool(self) -> None:
        """Now that the store answers: the ends that it has not heard of."""
        if self._parts.spool.is_empty:
            return
        try:
            self._parts.spool.apply()
        except ServerlessError as exc:
            _log.warning("%s", exc.message)

    def _standing(self, record: JobRecord) -> JobResult:
        result = self._recorded(record)
        if result.has_ended or not self._comes_again(record):
            return result
        return result.model_copy(update={"retry_after_s": self._free_in(record)})

    def _comes_again(self, record: JobRecord) -> bool:
        """Whether whoever asks waits for the job: a queue always does, a caller for what it began itself."""
        if self._requeue == "here":
            return record.status is Status.PENDING or self._is_redelivered(record)
        return self._requeue == "anywhere"

    def _is_redelivered(self, record: JobRecord) -> bool:
        """Whether the job began with this very delivery; who dispatched it may not know the platform's id for it."""
        mine, first = self._facts.dispatch, record.dispatch
        if mine is None or first is None or mine.backend != first.backend:
            return False
        return first.platform_job_id in (None, mine.platform_job_id)

    def _free_in(self, record: JobRecord) -> float:
        """Seconds until the job may be claimed, if nobody renews its lease."""
        free_at = record.not_before if record.lease_expires_at is None else record.lease_expires_at + GRACE_S
        return max(0.0, (free_at or 0.0) - self._parts.clock.wall())

    def _run_claimed(self, claim: Claim) -> JobResult:
        parts = self._parts
        self._flag.limit(min(self._request.timeout_s, parts.max_timeout_s))
        attempt = Attempt(parts, self._request, claim, self._flag)
        previews = StoredPreviews(parts.artifacts, parts.uploads, claim.record.key)
        with parts.heartbeat.watching(claim, self._flag, self._request) as watched:

            def report(progress: Progress) -> None:
                watched.progress = plain = progress.without_preview()
                parts.webhooks.progress(claim.record, plain)
                if progress.preview is not None:
                    previews.show(progress.preview)
                self._on_progress(progress)

            end = self._attempt(attempt, report)
        previews.end()
        parts.webhooks.progress_ends()
        claim = watched.claim
        if isinstance(end, Finished):
            return self._finish(attempt, claim, end)
        return self._stop(attempt, claim, end)

    def _attempt(self, attempt: Attempt, on_progress: ProgressSink) -> Finished | ServerlessError:
        try:
            return attempt.execute(on_progress)
        except ServerlessError as exc:
            return exc
        except SystemExit as exc:  # some node's code, wherever it was called: the worker goes on
            return NodeFailed(f"a node called for the end of the process: SystemExit: {exc}")
        except Exception as exc:  # the job's failure is recorded, whatever it was
            _log.exception("job %s failed", attempt.job_id)
            return Internal(f"{type(exc).__name__}: {exc}")

    def _stop(self, attempt: Attempt, claim: Claim, error: ServerlessError) -> JobResult:
        """What becomes of a job whose attempt did not come to its outputs."""
        attempt.discard()
        if isinstance(error, LeaseLost):
            return self._waiting(error, TAKEN_OVER_S)
        try:
            if isinstance(error, HandedBack):
                record = self._parts.jobs.hand_back(claim, request=self._request.to_text())
                return self._left(record, error, 0.0)
            if may_retry(error, self._requeue) and claim.record.attempt < claim.record.max_attempts:
                delay_s = retry_delay_s(claim.record.attempt)
                record = self._parts.jobs.requeue(
                    claim, JobError.of(error), delay_s=delay_s, request=self._request.to_text()
                )
                return self._left(record, error, delay_s)
        except LeaseLost as exc:
            return self._waiting(exc, TAKEN_OVER_S)
        except ServerlessError as exc:  # the lease runs out by itself, and another worker takes the job then
            _log.error("job %s could not be given back: %s", attempt.job_id, exc.message)
            return self._waiting(error, TAKEN_OVER_S)
        return self._finish(attempt, claim, attempt.failed(error))

    def _left(self, record: JobRecord, error: ServerlessError, delay_s: float) -> JobResult:
        """Of a job that is left to others; it has ended all the same if its cancel was asked for meanwhile."""
        self._ended(record)
        return self._recorded(record) if record.status.is_terminal else self._waiting(error, delay_s)

    def _finish(self, attempt: Attempt, claim: Claim, finished: Finished) -> JobResult:
        parts = self._parts
        try:
            if not claim.may_publish(parts.clock.monotonic()):
                raise LeaseLost(f"the lease of job {attempt.job_id} ran out before its end was written")
            self._ended(parts.jobs.finish(claim, finished.outcome))
        except LeaseLost as exc:
            attempt.discard()
            return self._waiting(exc, TAKEN_OVER_S)
        except ServerlessError as exc:
            _log.error("job %s ended, but its state could not be written: %s", attempt.job_id, exc.message)
            if not parts.spool.keep(claim, finished.outcome) and self._requeue == "anywhere":
                return self._waiting(exc, TAKEN_OVER_S)
            finished = finished.warned(f"the job's state could not be written yet: {exc.message}")
        return result_of(
            attempt.job_id,
            finished,
            parts.artifacts,
            self._request.output,
            parts.delivery,
            limit_bytes=parts.result_limit_bytes,
        )

    def _ended(self, record: JobRecord) -> None:
        """Tell who is to hear of it, if it has ended."""
        self._parts.webhooks.ended(record)
        record_end(self._parts.recorder, record)
        if record.status.is_terminal:
            code = f" ({record.error.code})" if record.error else ""
            _log.info("job %s is %s%s", record.job_id, record.status.value, code)

    def _recorded(self, record: JobRecord) -> JobResult:
        parts = self._parts
        return recorded_result(
            record, parts.artifacts, self._request.output, parts.delivery, limit_bytes=parts.result_limit_bytes
        )

    def _waiting(self, error: ServerlessError, delay_s: float) -> JobResult:
        return waiting_result(self._facts.job_id, error, None if self._requeue == "never" else delay_s)


@contextmanager
def _as_it_was_sent(record: JobRecord) -> Iterator[None]:
    """Within the block, the log and the trace are those of the request by which the job came, whoever brought it."""
    origin = record.origin or Origin()
    request = {} if origin.request_id is None else {"request_id": origin.request_id}
    with belonging_to(user_id=record.user_id, **request):
        if record.fencing_token == 1 and record.started_at is not None:
            past_span("queue", epoch_s(record.created_at), epoch_s(record.started_at), above=origin.traceparent)
        with span("job", above=origin.traceparent, attempt=record.attempt):
            yield
