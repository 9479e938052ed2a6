"""Metrics for Prometheus: its text form, and a listener of its own for it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from typing import Any

from runtime.errors import SettingsInvalid
from runtime.telemetry.metrics import METRICS, Kind, Metric, Reading, Readings


class PrometheusRecorder:
    """Counts and histograms of this process, and what the sources of `read` say at each look.

    Raises SettingsInvalid where prometheus_client is not installed.
    """

    def __init__(self) -> None:
        try:
            from prometheus_client import CollectorRegistry, Counter, Histogram
        except ModuleNotFoundError as exc:
            raise SettingsInvalid(
                "ENABLE_METRICS needs prometheus-client: pip install -c constraints.txt -e '.[api]'"
            ) from exc
        self._sources: list[Readings] = []
        self.registry = CollectorRegistry()
        self._counters = {
            metric: Counter(metric.name, metric.help, metric.labels, registry=None) for metric in _of(Kind.COUNTER)
        }
        self._histograms = {
            metric: Histogram(metric.name, metric.help, metric.labels, buckets=metric.buckets, registry=self.registry)
            for metric in _of(Kind.HISTOGRAM)
        }
        self.registry.register(self)

    def read(self, source: Readings) -> None:
        """Ask `source` too, at each look."""
        self._sources.append(source)

    def add(self, metric: Metric, amount: float = 1.0, *, labels: tuple[str, ...] = ()) -> None:
        """See Recorder."""
        counter = self._counters[metric]
        (counter.labels(*labels) if labels else counter).inc(amount)

    def observe(self, metric: Metric, value: float, *, labels: tuple[str, ...] = ()) -> None:
        """See Recorder."""
        histogram = self._histograms[metric]
        (histogram.labels(*labels) if labels else histogram).observe(value)

    def collect(self) -> Iterator[Any]:
        """The counters, and what the sources read now, as prometheus_client's families."""
        from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

        read: dict[Metric, list[Reading]] = defaultdict(list)
        for source in self._sources:
            for reading in source():
                read[reading.metric].append(reading)
        for metric, counter in self._counters.items():
            if metric not in read:
                yield from counter.collect()
        for metric, readings in read.items():
            family = CounterMetricFamily if metric.kind is Kind.COUNTER else GaugeMetricFamily
            told = family(metric.name, metric.help, labels=metric.labels)
            for reading in readings:
                told.add_metric(reading.labels, reading.value)
            yield told

    def text(self) -> tuple[bytes, str]:
        """Everything in Prometheus' text form, and its content type."""
        from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

        return generate_latest(self.registry), CONTENT_TYPE_LATEST

    def listen(self, port: int, address: str = "0.0.0.0") -> Callable[[], None]:  # noqa: S104 - it is scraped from elsewhere
        """Answer GET /metrics on a port of its own, until the returned call. Raises SettingsInvalid if it is taken."""
        from prometheus_client import start_http_server

        try:
            server, thread = start_http_server(port, address, registry=self.registry)
        except OSError as exc:
            raise SettingsInvalid(f"METRICS_PORT is {port}, which cannot be listened on: {exc.strerror}") from exc

        def close() -> None:
            server.shutdown()
            server.server_close()
            thread.join()

        return close


def _of(kind: Kind) -> Iterator[Metric]:
    return (metric for metric in METRICS if metric.kind is kind)
