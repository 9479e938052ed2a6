"""Metrics by OTLP over HTTP, pushed by the worker: nobody has to find it while it is there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from runtime.errors import SettingsInvalid
from runtime.telemetry.metrics import (
    METRICS,
    MODEL_CACHE_ASKED,
    MODEL_CACHE_DROPS,
    MODEL_LOAD_SECONDS,
    Kind,
    Metric,
    Reading,
    Readings,
)

_READ = (MODEL_CACHE_ASKED, MODEL_LOAD_SECONDS, MODEL_CACHE_DROPS)
"""Counters that the cache keeps, and nobody adds to."""

_NAME = "comfyui-serverless"
_EVERY_MS = 10_000
_TIMEOUT_MS = 5_000


class OtlpMetrics:
    """A Recorder whose values go to a collector every 10 s, and when the process ends.

    Raises SettingsInvalid where OpenTelemetry is not installed.
    """

    def __init__(self, endpoint: str) -> None:
        try:
            from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
            from opentelemetry.sdk.metrics import MeterProvider
            from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
            from opentelemetry.sdk.resources import Resource
        except ModuleNotFoundError as exc:
            raise SettingsInvalid(
                f"METRICS_EXPORT=otlp needs {exc.name}: pip install -c constraints.txt -e '.[telemetry]'"
            ) from exc
        exporter = OTLPMetricExporter(endpoint=f"{endpoint.rstrip('/')}/v1/metrics")
        reader = PeriodicExportingMetricReader(
            exporter, export_interval_millis=_EVERY_MS, export_timeout_millis=_TIMEOUT_MS
        )
        self._provider = MeterProvider([reader], resource=Resource.create({"service.name": _NAME}))
        meter = self._provider.get_meter(_NAME)
        self._sources: list[Readings] = []
        self._counters = {
            metric: meter.create_counter(metric.name, _unit(metric), metric.help)
            for metric in _of(Kind.COUNTER)
            if metric not in _READ
        }
        self._histograms = {
            metric: meter.create_histogram(
                metric.name, _unit(metric), metric.help, explicit_bucket_boundaries_advisory=list(metric.buckets)
            )
            for metric in _of(Kind.HISTOGRAM)
        }
        for metric in _of(Kind.GAUGE):
            meter.create_observable_gauge(metric.name, [self._look(metric)], _unit(metric), metric.help)
        for metric in _READ:
            meter.create_observable_counter(metric.name, [self._look(metric)], _unit(metric), metric.help)

    def read(self, source: Readings) -> None:
        """Ask `source` too, each time that values go out."""
        self._sources.append(source)

    def add(self, metric: Metric, amount: float = 1.0, *, labels: tuple[str, ...] = ()) -> None:
        """See Recorder."""
        self._counters[metric].add(amount, _named(metric, labels))

    def observe(self, metric: Metric, value: float, *, labels: tuple[str, ...] = ()) -> None:
        """See Recorder."""
        self._histograms[metric].record(value, _named(metric, labels))

    def close(self) -> None:
        """Send what is left."""
        self._provider.shutdown()

    def _look(self, metric: Metric) -> Any:
        from opentelemetry.metrics import Observation

        def look(_: object) -> Iterator[Any]:
            for reading in self._readings(metric):
                yield Observation(reading.value, _named(metric, reading.labels))

        return look

    def _readings(self, metric: Metric) -> Iterator[Reading]:
        for source in self._sources:
            yield from (reading for reading in source() if reading.metric is metric)


def _of(kind: Kind) -> Iterator[Metric]:
    return (metric for metric in METRICS if metric.kind is kind)


def _unit(metric: Metric) -> str:
    """None for a number of things: a gauge of unit 1 is a ratio to a collector, which would call it `..._ratio`."""
    return "" if metric.unit == "1" else metric.unit


def _named(metric: Metric, labels: tuple[str, ...]) -> dict[str, str]:
    return dict(zip(metric.labels, labels, strict=True))
