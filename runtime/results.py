"""Results for clients, from what a job's end left: outputs by key become links, or bytes."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from runtime.artifacts.store import ArtifactStore
from runtime.attempt import Finished
from runtime.clock import utc_text
from runtime.errors import LeaseLost, ServerlessError
from runtime.jobs.record import JobError, JobRecord, Outcome, StoredOutput
from runtime.request import OutputOptions
from runtime.result import Failure, JobResult, Output, Status, Timings


def result_of(
    job_id: str, finished: Finished, store: ArtifactStore, options: OutputOptions, default_delivery: str
) -> JobResult:
    """The result of an attempt that has just ended."""
    data = {delivered.key: delivered.data for delivered in finished.delivered if delivered.data is not None}
    outputs = _Outputs(store, options, default_delivery, data)
    return _result(job_id, finished.outcome, outputs)


def recorded_result(
    record: JobRecord, store: ArtifactStore, options: OutputOptions, default_delivery: str
) -> JobResult:
    """The result of a job that the store holds, as it stands now, with links signed now."""
    result = _result(record.job_id, record, _Outputs(store, options, default_delivery, {}))
    if result.has_ended or record.progress is None:
        return result
    return result.model_copy(update={"progress": record.progress.to_wire()})


def failed_result(job_id: str, error: ServerlessError) -> JobResult:
    """The result of a job that could not be run at all."""
    return JobResult(job_id=job_id, status="failed", error=Failure.of(error))


def waiting_result(job_id: str, error: ServerlessError, retry_after_s: float | None) -> JobResult:
    """The result of a job that goes on elsewhere or later, and why it does not here."""
    status: Status = "running" if isinstance(error, LeaseLost) else "pending"
    return JobResult(job_id=job_id, status=status, error=Failure.of(error), retry_after_s=retry_after_s)


def _result(job_id: str, outcome: Outcome, outputs: _Outputs) -> JobResult:
    made = tuple(map(outputs.output, outcome.outputs))
    return JobResult(
        job_id=job_id,
        status=outcome.status.value,
        engine=outcome.engine,
        outputs=made,
        timings_ms=Timings(**vars(outcome.timings_ms)) if outcome.timings_ms else Timings(),
        cached_nodes=outcome.cached_nodes,
        seed_used=outcome.seed_used,
        warnings=(*outcome.warnings, *outputs.warnings),
        error=_failure(outcome.error) if outcome.error else None,
    )


class _Outputs:
    """Turns stored outputs into what a client gets."""

    def __init__(
        self, store: ArtifactStore, options: OutputOptions, default_delivery: str, data: Mapping[str, bytes]
    ) -> None:
        self._store = store
        self._options = options
        self._as_base64 = (options.delivery or default_delivery) == "base64"
        self._data = data
        self.warnings: list[str] = []

    def output(self, stored: StoredOutput) -> Output:
        if stored.kind == "text":
            data = self._bytes(stored)
            return Output(**vars(stored), text=None if data is None else data.decode())
        if self._as_base64:
            data = self._bytes(stored)
            return Output(**vars(stored), data=None if data is None else base64.b64encode(data).decode())
        signed = self._store.sign(stored.key, self._options.url_ttl_s, filename=stored.filename)
        if signed.warning and signed.warning not in self.warnings:
            self.warnings.append(signed.warning)
        return Output(**vars(stored), url=signed.url, url_expires_at=utc_text(signed.expires_at))

    def _bytes(self, stored: StoredOutput) -> bytes | None:
        data = self._data.get(stored.key)
        if data is None:
            data = self._store.get(stored.key)
        if data is None:
            self.warnings.append(f"{stored.filename} is not in the store any more")
        return data


def _failure(error: JobError) -> Failure:
    return Failure(**vars(error))
