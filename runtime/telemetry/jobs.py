"""What the end of a job is to those who measure."""

from __future__ import annotations

from runtime.jobs.record import JobRecord, Status
from runtime.telemetry import metrics
from runtime.telemetry.metrics import Recorder


def record_end(recorder: Recorder, record: JobRecord) -> None:
    """Count a job that this worker ended, and how long each part of it took. Nothing for one that goes on elsewhere."""
    if not record.status.is_terminal:
        return
    engine = record.engine or "none"
    recorder.add(metrics.JOBS_ENDED, labels=(record.status.value, engine))
    if record.error is not None:
        recorder.add(metrics.JOBS_FAILED, labels=(record.error.code,))
    if record.status is Status.COMPLETED:
        _record_timings(recorder, record, engine)


def _record_timings(recorder: Recorder, record: JobRecord, engine: str) -> None:
    recorder.add(metrics.GPU_SECONDS, record.gpu_seconds, labels=(engine,))
    timings = record.timings_ms
    if timings is None:
        return
    recorder.add(metrics.NODES, len(timings.nodes), labels=("run",))
    recorder.add(metrics.NODES, len(record.cached_nodes), labels=("cached",))
    for metric, ms in (
        (metrics.QUEUE_S, timings.queue),
        (metrics.RESOLVE_S, timings.resolve),
        (metrics.LOAD_S, timings.load),
        (metrics.EXECUTION_S, timings.execute),
        (metrics.DELIVERY_S, timings.deliver),
    ):
        recorder.observe(metric, ms / 1000, labels=(engine,))
