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
from runtime.telemetry.emf import NAMESPACE, EmbeddedMetrics
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
    EmbeddedMetrics(stream, clock=SystemClock()).observe(metrics.EXECUTION_S, 1.5, labels=("native",))
    (line,) = lines(stream)
    about = line.pop("_aws")
    assert line == {"engine": "native", "comfyui_serverless_job_execution_seconds": 1.5}
    assert isinstance(about, dict)
    assert about["CloudWatchMetrics"] == [
        {
            "Namespace": NAMESPACE,
            "Dimensions": [["engine"]],
            "Metrics": [{"Name": "comfyui_serverless_job_execution_seconds", "Unit": "Seconds"}],
        }
    ]


def test_gauges_are_written_when_a_job_has_ended_and_counters_of_others_are_not() -> None:
    stream = io.StringIO()
    recorder = EmbeddedMetrics(stream, clock=SystemClock())
    recorder.read(held)
    recorder.add(metrics.NODES, 2, labels=("run",))
    recorder.add(metrics.JOBS_ENDED, labels=("completed", "native"))
    names = [name for line in lines(stream) for name in line if name.startswith("comfyui_")]
    assert names == [metrics.NODES.name, metrics.JOBS_ENDED.name, metrics.MODEL_CACHE_BYTES.name]


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
    (queue,) = [metric for metric in sent if metric.name == metrics.QUEUE_S.name]
    assert tuple(queue.histogram.data_points[0].explicit_bounds) == metrics.QUEUE_S.buckets


def test_otlp_needs_to_know_where_to() -> None:
    with pytest.raises(SettingsInvalid, match="OTEL_EXPORTER_OTLP_ENDPOINT is not set"):
        exporter(Settings(metrics_export="otlp"))


def test_nothing_is_exported_unless_it_is_asked_for() -> None:
    assert exporter(Settings()) is None
    assert isinstance(exporter(Settings(metrics_export="cloudwatch")), EmbeddedMetrics)
