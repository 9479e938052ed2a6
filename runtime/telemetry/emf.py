"""Metrics as lines of CloudWatch's embedded metric format, which it reads out of a log.

Format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import threading
from typing import TextIO

from runtime.clock import Clock
from runtime.telemetry.metrics import JOBS_ENDED, PREFIX, Kind, Metric, Readings

FAILED_SHARE = Metric(
    name=f"{PREFIX}_jobs_failed_share",
    kind=Kind.GAUGE,
    help="1 for each job that failed or timed out, 0 for each that ended otherwise: the average is their share.",
)
"""Of CloudWatch alone, whose alarms divide no two metrics of which one may be absent."""

_UNITS = {"s": "Seconds", "By": "Bytes", "1": "Count"}
_FAILED = ("failed", "timed_out")


class EmbeddedMetrics:
    """A Recorder that writes a line for each value, and whenever a job has ended what its sources say: their gauges,
    and by how much their counters have grown.
    """

    def __init__(self, stream: TextIO, *, clock: Clock, namespace: str) -> None:
        self._stream = stream
        self._clock = clock
        self._namespace = namespace
        self._sources: list[Readings] = []
        self._written: dict[tuple[Metric, tuple[str, ...]], float] = {}
        self._one_at_a_time = threading.RLock()

    def read(self, source: Readings) -> None:
        """Ask `source` too, at each job's end."""
        self._sources.append(source)

    def add(self, metric: Metric, amount: float = 1.0, *, labels: tuple[str, ...] = ()) -> None:
        """See Recorder."""
        self._write(metric, amount, labels)
        if metric is JOBS_ENDED:
            self._write(FAILED_SHARE, float(labels[0] in _FAILED), ())
            self._write_readings()

    def observe(self, metric: Metric, value: float, *, labels: tuple[str, ...] = ()) -> None:
        """See Recorder."""
        self._write(metric, value, labels)

    def _write_readings(self) -> None:
        with self._one_at_a_time:  # or a growth would be told of twice
            for source in self._sources:
                for reading in source():
                    if reading.metric.kind is Kind.GAUGE:
                        self._write(reading.metric, reading.value, reading.labels)
                    else:
                        self._write_growth(reading.metric, reading.value, reading.labels)

    def _write_growth(self, metric: Metric, value: float, labels: tuple[str, ...]) -> None:
        """CloudWatch adds up what it reads, so it is told of what came since the last time."""
        grown = value - self._written.get((metric, labels), 0.0)
        if grown > 0:
            self._written[metric, labels] = value
            self._write(metric, grown, labels)

    def _write(self, metric: Metric, value: float, labels: tuple[str, ...]) -> None:
        described = {
            "Namespace": self._namespace,
            "Dimensions": [list(metric.labels)],
            "Metrics": [{"Name": metric.name, "Unit": _UNITS[metric.unit]}],
        }
        line = {
            "_aws": {"Timestamp": int(self._clock.wall() * 1000), "CloudWatchMetrics": [described]},
            **dict(zip(metric.labels, labels, strict=True)),
            metric.name: value,
        }
        with self._one_at_a_time:
            self._stream.write(json.dumps(line, separators=(",", ":")) + "\n")
            self._stream.flush()
