"""Results for clients, from what a job's end left: outputs by key become links, or bytes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from runtime.artifacts.store import ArtifactStore
from runtime.attempt import Finished
from runtime.clock import utc_text
from runtime.errors import LeaseLost, ServerlessError
from runtime.jobs.record import JobError, JobRecord, Outcome, StoredOutput
from runtime.request import OutputOptions
from runtime.result import Failure, JobResult, Output, Status, Timings

_WIRE_SIZE = 1.4
"""Bytes of a result for one of an output: base64, and what JSON adds."""


def result_of(
    job_id: str,
    finished: Finished,
    store: ArtifactStore,
    options: OutputOptions,
    default_delivery: str,
    *,
    limit_bytes: int | None = None,
) -> JobResult:
    """The result of an attempt that has just ended; its outputs are links where it would exceed `limit_bytes`."""
    data = {delivered.key: delivered.data for delivered in finished.delivered if delivered.data is not None}
    return _result(job_id, finished.outcome, _Outputs(store, options, default_delivery, data, limit_bytes))


def recorded_result(
    record: JobRecord,
    store: ArtifactStore,
    options: OutputOptions,
    default_delivery: str,
    *,
    limit_bytes: int | None = None,
) -> JobResult:
    """The result of a job that the store holds, as it stands now, with links signed now."""
    result = _result(record.job_id, record, _Outputs(store, options, default_delivery, {}, limit_bytes))
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
    outputs.keep_within_limit(outcome.outputs)
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
        self,
        store: ArtifactStore,
        options: OutputOptions,
        default_delivery: str,
        data: Mapping[str, bytes],
        limit_bytes: int | None,
    ) -> None:
        self._store = store
        self._options = options
        self._limit_bytes = limit_bytes
        self._as_base64 = (options.delivery or default_delivery) == "base64"
        self._as_text = True
        self._data = data
        self.warnings: list[str] = []

    def keep_within_limit(self, outputs: Sequence[StoredOutput]) -> None:
        """Make links of everything where the bytes would not fit into a result."""
        held = [output for output in outputs if self._as_base64 or output.kind == "text"]
        size_bytes = sum(output.size_bytes * _WIRE_SIZE for output in held)
        if self._limit_bytes is not None and size_bytes > self._limit_bytes:
            self._as_base64 = self._as_text = False
            self.warnings.append("outputs come as links: with their bytes the result would be too large")

    def output(self, stored: StoredOutput) -> Output:
        if stored.kind == "text" and self._as_text:
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
