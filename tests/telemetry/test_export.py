from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from runtime.clock import SystemClock
from runtime.errors import SettingsInvalid
from runtime.settings import Settings
from runtime.telemetry import metrics
from runtime.telemetry.emf import FAILED_SHARE, EmbeddedMetrics
from runtime.telemetry.export import exporter
from runtime.telemetry.metrics import Reading
from runtime.telemetry.otlp import OtlpMetrics


def held() -> Iterator[Reading]:
    yield Reading(metric=metrics.MODEL_CACHE_BYTES, value=5.0, labels=("gpu",))
    yield Reading(metric=metrics.MODEL_CACHE_ASKED, value=3.0, labels=("hit",))


def lines(stream: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_cloudwatch_reads_a_line_for_each_value() -> None:
    stream = io.StringIO()
    EmbeddedMetrics(stream, clock=SystemClock(), namespace="here").observe(metrics.EXECUTION_S, 1.5, labels=("native",))
    (line,) = lines(stream)
    about = line.pop("_aws")
    assert line == {"engine": "native", "comfyui_serverless_job_execution_seconds": 1.5}
    assert isinstance(about, dict)
    assert about["CloudWatchMetrics"] == [
        {
            "Namespace": "here",
            "Dimensions": [["engine"]],
            "Metrics": [{"Name": "comfyui_serverless_job_execution_seconds", "Unit": "Seconds"}],
        }
    ]


def values(stream: io.StringIO, name: str) -> list[object]:
    return [line[name] for line in lines(stream) if name in line]


def test_what_is_held_is_written_when_a_job_has_ended() -> None:
    stream = io.StringIO()
    recorder = EmbeddedMetrics(stream, clock=SystemClock(), namespace="here")
    recorder.read(held)
    recorder.add(metrics.NODES, 2, labels=("run",))
    assert values(stream, metrics.MODEL_CACHE_BYTES.name) == []
    recorder.add(metrics.JOBS_ENDED, labels=("completed", "native"))
    assert values(stream, metrics.MODEL_CACHE_BYTES.name) == [5.0]


def test_cloudwatch_is_told_by_how_much_what_others_count_has_grown() -> None:
    stream, hits = io.StringIO(), iter([3.0, 3.0, 10.0])
    recorder = EmbeddedMetrics(stream, clock=SystemClock(), namespace="here")
    recorder.read(lambda: [Reading(metric=metrics.MODEL_CACHE_ASKED, value=next(hits), labels=("hit",))])
    for _ in range(3):
        recorder.add(metrics.JOBS_ENDED, labels=("completed", "native"))
    assert values(stream, metrics.MODEL_CACHE_ASKED.name) == [3.0, 7.0]


@pytest.mark.parametrize(
    ("status", "share"), [("completed", 0.0), ("cancelled", 0.0), ("failed", 1.0), ("timed_out", 1.0)]
)
def test_the_average_over_ended_jobs_is_the_share_that_failed(status: str, share: float) -> None:
    stream = io.StringIO()
    EmbeddedMetrics(stream, clock=SystemClock(), namespace="here").add(metrics.JOBS_ENDED, labels=(status, "native"))
    assert values(stream, FAILED_SHARE.name) == [share]


class Collector(BaseHTTPRequestHandler):
    """Keeps what comes to it."""

    received: list[bytes]

    def do_POST(self) -> None:
        assert self.path == "/v1/metrics"
        self.received.append(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[tuple[str, list[bytes]]]:
    received: list[bytes] = []
    handler = type("Here", (Collector,), {"received": received})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", received
        server.shutdown()


def test_a_collector_gets_the_same_names_as_prometheus(collector: tuple[str, list[bytes]]) -> None:
    url, received = collector
    recorder = OtlpMetrics(url)
    recorder.read(held)
    recorder.add(metrics.JOBS_ENDED, labels=("completed", "native"))
    recorder.observe(metrics.QUEUE_S, 0.3, labels=("native",))
    recorder.close()
    sent = [
        metric
        for body in received
        for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    ]
    assert {metric.name for metric in sent} == {
        one.name for one in (metrics.JOBS_ENDED, metrics.QUEUE_S, metrics.MODEL_CACHE_BYTES, metrics.MODEL_CACHE_ASKED)
    }
    assert all(metric.unit != "1" for metric in sent)  # which a collector makes a part of a gauge's name: _ratio
    (queue,) = [metric for metric in sent if metric.name == metrics.QUEUE_S.name]
    assert tuple(queue.histogram.data_points[0].explicit_bounds) == metrics.QUEUE_S.buckets


def test_otlp_needs_to_know_where_to() -> None:
    with pytest.raises(SettingsInvalid, match="OTEL_EXPORTER_OTLP_ENDPOINT is not set"):
        exporter(Settings(metrics_export="otlp"))


def test_nothing_is_exported_unless_it_is_asked_for() -> None:
    assert exporter(Settings()) is None
    assert isinstance(exporter(Settings(metrics_export="cloudwatch")), EmbeddedMetrics)
