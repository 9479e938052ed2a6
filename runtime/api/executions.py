"""What clients do with their jobs, whatever protocol they speak: submit, look, list, cancel, remove."""

from __future__ import annotations

import logging
from dataclasses import dataclass

from runtime.api.dispatch.dispatcher import Dispatcher
from runtime.api.dispatch.routes import chosen
from runtime.api.errors import NotFound
from runtime.api.quotas import Quotas
from runtime.api.result_cache import ResultCache
from runtime.artifacts.naming import outputs_of
from runtime.artifacts.store import ArtifactStore
from runtime.clock import Clock
from runtime.errors import InvalidRequest
from runtime.fetch.access import WebAccess
from runtime.ids import new_job_id
from runtime.job_facts import facts_of
from runtime.jobs.record import JobFacts, JobKey, JobRecord, Outcome, Status, Timings
from runtime.jobs.store import JobStore, Page
from runtime.request import JobRequest, OutputOptions
from runtime.result import JobResult
from runtime.results import recorded_result
from runtime.telemetry.context import belonging_to
from runtime.telemetry.metrics import JOBS_SUBMITTED, NOBODY, Recorder
from runtime.telemetry.traces import span
from runtime.webhooks.signature import Signer
from runtime.webhooks.target import target_of

_log = logging.getLogger(__name__)

MOST_LISTED = 200


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """A job as it stands after it was submitted; `is_new` unless the same request had come before."""

    record: JobRecord
    is_new: bool


class Executions:
    """The jobs of every tenant: each call looks among those of the one that is named, and nowhere else."""

    def __init__(
        self,
        jobs: JobStore,
        artifacts: ArtifactStore,
        dispatcher: Dispatcher,
        *,
        max_request_bytes: int,
        web: WebAccess,
        signer: Signer,
        clock: Clock,
        quotas: Quotas,
        cache: ResultCache,
        recorder: Recorder = NOBODY,
    ) -> None:
        self._jobs = jobs
        self._artifacts = artifacts
        self._dispatcher = dispatcher
        self._max_request_bytes = max_request_bytes
        self._web = web
        self._signer = signer
        self._clock = clock
        self._recorder = recorder
        self._quotas = quotas
        self._cache = cache

    def submit(self, tenant: str, request: JobRequest, *, batch_id: str | None = None) -> Submitted:
        """Keep the job and send it to a worker. The same `job_id` again is the same job.

        Raises JobIdTaken where that id names another request, InvalidRequest for what is no plain JSON or cannot be
        brought to a worker.
        """
        dispatcher = chosen(self._dispatcher, request)
        dispatcher.check(request)
        job_id = request.job_id or new_job_id(self._clock.wall())
        with belonging_to(job_id=job_id, tenant=tenant, user_id=request.user_id), span("submit"):
            return self._submit(tenant, job_id, request, batch_id, dispatcher)

    def _submit(
        self, tenant: str, job_id: str, request: JobRequest, batch_id: str | None, dispatcher: Dispatcher
    ) -> Submitted:
        now = self._clock.wall()
        facts = facts_of(
            request,
            tenant=tenant,
            job_id=job_id,
            dispatch=dispatcher.dispatch,
            max_bytes=self._max_request_bytes,
            webhook=target_of(request, self._web, self._signer),
            batch_id=batch_id,
        )
        if (self._cache.is_on or self._quotas.is_on) and self._jobs.get(tenant, job_id) is None:
            earlier = self._cache.find(facts, request)
            if earlier is not None:
                return Submitted(record=self._answered(facts, request, earlier), is_new=True)
            if batch_id is None:
                self._quotas.admit(tenant, [job_id])
        dispatch_by = now + dispatcher.within_s
        record = self._jobs.create(facts, dispatch_by=dispatch_by, request=request.to_text())
        if record.status is Status.PENDING:
            dispatcher.send(record.key, request)
        is_new = record.revision == 1
        _log.info("job %s is %s", job_id, "queued" if is_new else record.status.value)
        if is_new:
            self._recorder.add(JOBS_SUBMITTED)
        return Submitted(record=record, is_new=is_new)

    def admit(self, tenant: str, job_ids: list[str]) -> None:
        """Let those jobs of a batch in that are not there yet, all or none. Raises RateLimited."""
        if self._quotas.is_on:
            self._quotas.admit(tenant, [job_id for job_id in job_ids if self.look(tenant, job_id) is None])

    def _answered(self, facts: JobFacts, request: JobRequest, earlier: JobRecord) -> JobRecord:
        """The job, completed at once with what an earlier one made for the same request."""
        claim = self._jobs.claim(facts, worker_id="result-cache", request=request.to_text())
        if isinstance(claim, JobRecord):
            return claim
        outcome = Outcome(
            status=Status.COMPLETED,
            engine=earlier.engine,
            outputs=earlier.outputs,
            timings_ms=Timings(),
            cached_nodes=tuple(sorted({*earlier.cached_nodes, *(earlier.timings_ms or Timings()).nodes})),
            seed_used=earlier.seed_used,
            warnings=(*earlier.warnings, f"the outputs are those of job {earlier.job_id}, whose request was the same"),
        )
        return self._jobs.finish(claim, outcome)

    def take(self, key: JobKey) -> JobRecord:
        """Send a job on that a peer stored and named to us. Raises NotFound, StateUnavailable."""
        record = self.find(*key)
        text = self._jobs.request_of(*key) if record.status is Status.PENDING else None
        if text is not None:
            request, _ = JobRequest.parse(text)
            chosen(self._dispatcher, request).send(key, request)
        return record

    def find(self, tenant: str, job_id: str) -> JobRecord:
        """The job as it stands. Raises NotFound for one that is not the tenant's."""
        record = self.look(tenant, job_id)
        if record is None:
            raise NotFound(f"there is no job {job_id[:100]!r}")
        return record

    def look(self, tenant: str, job_id: str) -> JobRecord | None:
        """The job as it stands; None for one that is not the tenant's."""
        return self._jobs.get(tenant, job_id)

    def result(self, record: JobRecord, options: OutputOptions | None = None) -> JobResult:
        """The job as clients see it, its links signed now."""
        return recorded_result(record, self._artifacts, options or OutputOptions(), "url")

    def list(self, tenant: str, user_id: str, *, cursor: str | None, limit: int, status: Status | None = None) -> Page:
        """A user's jobs, newest first. Raises InvalidRequest for a cursor that is none, or a limit out of its range."""
        if not 1 <= limit <= MOST_LISTED:
            raise InvalidRequest(f"limit is {limit}; expected 1 to {MOST_LISTED}")
        return self._jobs.list_by_user(tenant, user_id, cursor=cursor, limit=limit, status=status)

    def cancel(self, tenant: str, job_id: str) -> JobRecord:
        """Ask for the job's end. One that has ended stays as it is. Raises NotFound."""
        self.find(tenant, job_id)
        self._dispatcher.cancel(JobKey(tenant, job_id))
        record = self._jobs.request_cancel(tenant, job_id)
        if record is None:
            raise NotFound(f"there is no job {job_id[:100]!r}")
        return record

    def remove_files(self, record: JobRecord) -> int:
        """Delete what the job made, and answer how many files that were. Raises InvalidRequest while it runs."""
        if not record.status.is_terminal:
            raise InvalidRequest(f"job {record.job_id!r} is {record.status.value}: cancel it first")
        made = [*self._artifacts.list(outputs_of(user=record.tenant, job_id=record.job_id))]
        for file in made:
            self._artifacts.delete(file.key)
        return len(made)

    def remove(self, record: JobRecord) -> int:
        """Delete the job with its files and the webhooks that it still owed; answers how many files that were.

        Its id is free from then on. Raises InvalidRequest while it runs.
        """
        deleted = self.remove_files(record)
        self._jobs.remove(record.key)
        return deleted
