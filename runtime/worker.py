"""The way of a job, from a request to a result: claim, resolve, check, execute, deliver, complete."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from pathlib import Path

from runtime.artifacts.store import ArtifactStore
from runtime.attempt import Attempt, Finished
from runtime.cancellation import CancelFlag
from runtime.canonical import request_sha256, sha256_of_json
from runtime.clock import Clock
from runtime.engines.choice import Engines
from runtime.errors import Internal, InvalidRequest, LeaseLost, ServerlessError
from runtime.fetch.access import S3Access, WebAccess
from runtime.heartbeat import Heartbeat
from runtime.ids import new_job_id
from runtime.inputs import InputLimits
from runtime.jobs.leases import Claim
from runtime.jobs.record import JobFacts, JobRecord
from runtime.jobs.store import JobStore
from runtime.progress import Progress, ProgressSink, ignore_progress
from runtime.request import JobRequest
from runtime.request_size import refuse_large
from runtime.result import JobResult
from runtime.results import failed_result, recorded_result, result_of

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What a worker is made of. `delivery` is how outputs come back where a request does not say."""

    engines: Engines
    jobs: JobStore
    artifacts: ArtifactStore
    heartbeat: Heartbeat
    uploads: Executor
    clock: Clock
    worker_id: str
    tenant: str
    delivery: str
    limits: InputLimits
    web: WebAccess
    s3: S3Access | None
    workspace_root: Path | None
    shared_inputs: Sequence[Path]
    max_timeout_s: float
    max_request_bytes: int
    max_nodes: int
    comfy_org_api_key: str | None = field(repr=False)


class Worker:
    """Runs jobs, one at a time, on the thread that calls `run`."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def run(
        self,
        request: JobRequest,
        *,
        cancel: CancelFlag | None = None,
        on_progress: ProgressSink = ignore_progress,
    ) -> JobResult:
        """Run one job to its end and answer how it ended; what fails is a result too, never an exception.

        A job that its store already holds is not run again: the answer is what the store knows of it, with freshly
        signed links where it is completed. `cancel` ends the job within one sampling step.
        """
        job_id = request.job_id or new_job_id(self._parts.clock.wall())
        try:
            facts = self._facts(request, job_id)
            claim = self._parts.jobs.claim(facts, worker_id=self._parts.worker_id)
            if isinstance(claim, JobRecord):
                return recorded_result(claim, self._parts.artifacts, request.output, self._parts.delivery)
            return self._run_claimed(request, claim, cancel or CancelFlag(), on_progress)
        except ServerlessError as exc:
            return failed_result(job_id, exc)
        except Exception as exc:  # a store's own defect: whoever asked shall hear of it, and the worker serve the next
            _log.exception("job %s failed", job_id)
            return failed_result(job_id, Internal(f"{type(exc).__name__}: {exc}"))

    def prepare(self) -> None:
        """Build what the first job would build: the stores' connections and the native engine."""
        self._parts.jobs.prepare()
        self._parts.artifacts.prepare()
        self._parts.engines.get("native")

    def close(self) -> None:
        """End the worker's threads, uploads first."""
        self._parts.uploads.shutdown(wait=True)
        self._parts.heartbeat.close()

    def _facts(self, request: JobRequest, job_id: str) -> JobFacts:
        try:
            refuse_large(request, self._parts.max_request_bytes)
            workflow_sha256 = sha256_of_json(request.workflow)
            request_hash = request_sha256(request, workflow_sha256)
        except (TypeError, ValueError, RecursionError) as exc:
            raise InvalidRequest(f"the request is no plain JSON: {exc}") from exc
        return JobFacts(
            tenant=self._parts.tenant,
            job_id=job_id,
            request_sha256=request_hash,
            workflow_sha256=workflow_sha256,
            user_id=request.user_id,
            max_attempts=request.max_attempts,
            ttl_s=request.ttl_s,
        )

    def _run_claimed(self, request: JobRequest, claim: Claim, flag: CancelFlag, on_progress: ProgressSink) -> JobResult:
        parts = self._parts
        flag.limit(min(request.timeout_s, parts.max_timeout_s))
        attempt = Attempt(parts, request, claim, flag)
        with parts.heartbeat.watching(claim, flag) as watched:

            def report(progress: Progress) -> None:
                watched.progress = progress
                on_progress(progress)

            finished = self._attempt(attempt, report)
        claim = watched.claim
        return self._complete(attempt, claim, finished)

    def _attempt(self, attempt: Attempt, on_progress: ProgressSink) -> Finished:
        try:
            return attempt.execute(on_progress)
        except ServerlessError as exc:
            return attempt.failed(exc)
        except Exception as exc:  # the job's failure is recorded here, whatever it was
            _log.exception("job %s failed", attempt.job_id)
            return attempt.failed(Internal(f"{type(exc).__name__}: {exc}"))

    def _complete(self, attempt: Attempt, claim: Claim, finished: Finished) -> JobResult:
        parts = self._parts
        try:
            if not claim.may_publish(parts.clock.monotonic()):
                raise LeaseLost(f"the lease of job {attempt.job_id} ran out before its end was written")
            parts.jobs.finish(claim, finished.outcome)
        except LeaseLost as exc:
            attempt.discard()
            return failed_result(attempt.job_id, exc)
        except ServerlessError as exc:
            _log.error("job %s ended, but its state could not be written: %s", attempt.job_id, exc.message)
            finished = finished.warned(f"the job's state could not be written: {exc.message}")
        return result_of(attempt.job_id, finished, parts.artifacts, attempt.request.output, parts.delivery)
