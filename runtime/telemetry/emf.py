"""Metrics as lines of CloudWatch's embedded metric format, which it reads out of a log.

Format: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
import threading
from typing import TextIO

from runtime.clock import Clock
from runtime.telemetry.metrics import JOBS_ENDED, Kind, Metric, Readings

NAMESPACE = "ComfyUIServerless"

_UNITS = {"s": "Seconds", "By": "Bytes", "1": "Count"}


class EmbeddedMetrics:
    """A Recorder that writes a line for each value, and for each gauge of its sources whenever a job has ended."""

    def __init__(self, stream: TextIO, *, clock: Clock) -> None:
        self._stream = stream
        self._clock = clock
        self._sources: list[Readings] = []
        self._one_at_a_time = threading.Lock()

    def read(self, source: Readings) -> None:
        """Ask `source` too, at each job's end."""
        self._sources.append(source)

    def add(self, metric: Metric, amount: float = 1.0, *, labels: tuple[str, ...] = ()) -> None:
        """See Recorder."""
        self._write(metric, amount, labels)
        if metric is JOBS_ENDED:
            self._write_gauges()

    def observe(self, metric: Metric, value: float, *, labels: tuple[str, ...] = ()) -> None:
        """See Recorder."""
        self._write(metric, value, labels)

    def _write_gauges(self) -> None:
        for source in self._sources:
            for reading in source():
                if reading.metric.kind is Kind.GAUGE:
                    self._write(reading.metric, reading.value, reading.labels)

    def _write(self, metric: Metric, value: float, labels: tuple[str, ...]) -> None:
        described = {
            "Namespace": NAMESPACE,
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
