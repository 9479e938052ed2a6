"""What is measured, by the names that every exporter uses: Prometheus, OTLP and CloudWatch alike."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

PREFIX = "comfyui_serverless"

_QUICK_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_LONG_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1800.0)


class Kind(Enum):
    """How numbers of a metric go together."""

    COUNTER = "counter"  # only grows, while the process lives
    GAUGE = "gauge"  # is looked at when it is asked for
    HISTOGRAM = "histogram"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One thing that is measured. `unit` is UCUM's (`s`, `By`, `1`); `buckets` are a histogram's upper bounds."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    unit: str = "1"
    buckets: tuple[float, ...] = ()


def _counter(name: str, help: str, *labels: str, unit: str = "1") -> Metric:
    return Metric(name=f"{PREFIX}_{name}", kind=Kind.COUNTER, help=help, labels=labels, unit=unit)


def _gauge(name: str, help: str, *labels: str, unit: str = "1") -> Metric:
    return Metric(name=f"{PREFIX}_{name}", kind=Kind.GAUGE, help=help, labels=labels, unit=unit)


def _histogram(name: str, help: str, *labels: str, buckets: tuple[float, ...] = _LONG_S) -> Metric:
    return Metric(name=f"{PREFIX}_{name}", kind=Kind.HISTOGRAM, help=help, labels=labels, unit="s", buckets=buckets)


JOBS_SUBMITTED = _counter("jobs_submitted_total", "Jobs that the API took in.")
JOBS_ENDED = _counter("jobs_ended_total", "Jobs that ended on this worker.", "status", "engine")
JOBS_FAILED = _counter("jobs_failed_total", "Jobs that did not complete on this worker, by the error's code.", "code")
JOBS_WAITING = _gauge("jobs_waiting", "Jobs that wait for the worker in this process.")
JOBS_RUNNING = _gauge("jobs_running", "Jobs that run on this worker now.")
GPU_SECONDS = _counter("gpu_seconds_total", "Seconds that completed jobs had the GPU.", "engine", unit="s")
NODES = _counter("nodes_total", "Nodes of completed jobs: run, or answered by the cache.", "result")

QUEUE_S = _histogram("job_queue_seconds", "From a job's creation to its claim.", "engine")
RESOLVE_S = _histogram("job_resolve_seconds", "Inputs fetched, models found, the graph checked.", "engine")
LOAD_S = _histogram("job_load_seconds", "What a completed job waited for models.", "engine")
EXECUTION_S = _histogram("job_execution_seconds", "The nodes of a completed job, loading apart.", "engine")
DELIVERY_S = _histogram("job_delivery_seconds", "From the last node to the last upload.", "engine")

START_S = _histogram("worker_start_seconds", "From a worker's first step until it is ready for a job: a cold start.")

MODEL_CACHE_BYTES = _gauge("model_cache_bytes", "Models that are kept, by tier.", "tier", unit="By")
MODEL_CACHE_ASKED = _counter(
    "model_cache_asked_total", "Models asked for: there already (hit), from RAM (return), from the volume (miss).",
    "result",
)  # fmt: skip
MODEL_LOAD_SECONDS = _counter(
    "model_load_seconds_total", "Seconds that bringing models took: from RAM (return), from the volume (miss).",
    "result", unit="s",
)  # fmt: skip
MODEL_CACHE_DROPS = _counter("model_cache_drops_total", "Models that left memory.")
NODE_CACHE_BYTES = _gauge("node_cache_bytes", "Results of nodes that are kept between jobs.", unit="By")
GPU_MEMORY_BYTES = _gauge("gpu_memory_bytes", "The GPU's memory: total, free, and allocated by us.", "kind", unit="By")

HTTP_REQUESTS = _counter("http_requests_total", "HTTP requests answered.", "method", "route", "status")
HTTP_S = _histogram("http_request_seconds", "Until an answer began.", "method", "route", buckets=_QUICK_S)

METRICS: tuple[Metric, ...] = tuple(value for value in list(globals().values()) if isinstance(value, Metric))
"""Every metric there is."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """A gauge as it stands, or a counter that somebody else counts; `labels` in the order of the metric's."""

    metric: Metric
    value: float
    labels: tuple[str, ...] = ()


Readings = Callable[[], Iterable[Reading]]
"""Asked when somebody looks."""


class Recorder(Protocol):
    """Takes what happens, on any thread, at once and without raising. `labels` in the order of the metric's."""

    def add(self, metric: Metric, amount: float = 1.0, *, labels: tuple[str, ...] = ()) -> None:
        """So much more of a counter."""

    def observe(self, metric: Metric, value: float, *, labels: tuple[str, ...] = ()) -> None:
        """One more value of a histogram."""


class Recorders:
    """Several recorders as one; none: nothing is recorded."""

    def __init__(self, recorders: Iterable[Recorder] = ()) -> None:
        self._recorders = tuple(recorders)

    def add(self, metric: Metric, amount: float = 1.0, *, labels: tuple[str, ...] = ()) -> None:
        for recorder in self._recorders:
            recorder.add(metric, amount, labels=labels)

    def observe(self, metric: Metric, value: float, *, labels: tuple[str, ...] = ()) -> None:
        for recorder in self._recorders:
            recorder.observe(metric, value, labels=labels)


NOBODY: Recorder = Recorders()
