"""Results for clients, from what a job's end left: outputs by key become links, or bytes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import asdict

from runtime.artifacts.store import ArtifactStore
from runtime.attempt import Finished
from runtime.clock import utc_text
from runtime.errors import ServerlessError
from runtime.jobs.record import JobError, JobRecord, Outcome, StoredOutput
from runtime.request import OutputOptions
from runtime.result import Failure, JobResult, Output, Timings


def result_of(
    job_id: str, finished: Finished, store: ArtifactStore, options: OutputOptions, default_delivery: str
) -> JobResult:
    """The result of an attempt that has just ended."""
    data = {delivered.key: delivered.data for delivered in finished.delivered if delivered.data is not None}
    outputs = _Outputs(store, options, default_delivery, data)
    texts = [_text_output(node_id, text) for node_id, text in finished.texts]
    return _result(job_id, finished.outcome, outputs, texts)


def recorded_result(
    record: JobRecord, store: ArtifactStore, options: OutputOptions, default_delivery: str
) -> JobResult:
    """The result of a job that the store holds, as it stands now, with links signed now."""
    return _result(record.job_id, record, _Outputs(store, options, default_delivery, {}), [])


def failed_result(job_id: str, error: ServerlessError) -> JobResult:
    """The result of a job that could not be run at all."""
    return JobResult(job_id=job_id, status="failed", error=Failure.of(error))


def _result(job_id: str, outcome: Outcome, outputs: _Outputs, texts: Iterable[Output]) -> JobResult:
    made = [outputs.output(stored) for stored in outcome.outputs]
    return JobResult(
        job_id=job_id,
        status=outcome.status.value,
        engine=outcome.engine,
        outputs=(*made, *texts),
        timings_ms=Timings(**asdict(outcome.timings_ms)) if outcome.timings_ms else Timings(),
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
        plain = Output(**asdict(stored))
        if self._as_base64:
            return plain.model_copy(update={"data": self._base64(stored)})
        signed = self._store.sign(stored.key, self._options.url_ttl_s, filename=stored.filename)
        if signed.warning and signed.warning not in self.warnings:
            self.warnings.append(signed.warning)
        return plain.model_copy(update={"url": signed.url, "url_expires_at": utc_text(signed.expires_at)})

    def _base64(self, stored: StoredOutput) -> str | None:
        data = self._data.get(stored.key)
        if data is None:
            data = self._store.get(stored.key)
        if data is None:
            self.warnings.append(f"{stored.filename} is not in the store any more")
            return None
        return base64.b64encode(data).decode()


def _text_output(node_id: str, text: str) -> Output:
    data = text.encode()
    return Output(
        node_id=node_id,
        kind="text",
        filename="",
        text=text,
        content_type="text/plain; charset=utf-8",
        size_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )


def _failure(error: JobError) -> Failure:
    return Failure(**asdict(error))
