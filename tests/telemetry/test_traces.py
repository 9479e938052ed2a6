from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from runtime.api.build import build_api
from runtime.settings import Settings
from runtime.telemetry.traces import begun_span, flush_spans, span, start_tracing, trace_with, traceparent

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
Spans = Callable[[], dict[str, ReadableSpan]]


@pytest.fixture
def spans() -> Iterator[Spans]:
    """The spans that have ended, by name."""
    exporter = InMemorySpanExporter()
    stop = trace_with(SimpleSpanProcessor(exporter))
    yield lambda: {span.name: span for span in exporter.get_finished_spans()}
    stop()


def test_a_request_its_job_and_the_nodes_are_one_trace(spans: Spans, tmp_path: Any) -> None:
    settings = Settings.from_env({"STORAGE_BASE_PATH": str(tmp_path), "DEVICE": "cpu"})
    with TestClient(build_api(settings)) as api:
        api.post("/workflows/execute?wait=60", json={"workflow": GRAPH, "job_id": "traced"})
    told = spans()
    names = ("POST request", "submit", "job", "resolve", "execute", "node EmptyImage", "node SaveImage", "deliver")
    assert [name for name in names if name not in told] == []
    assert len({told[name].context.trace_id for name in names}) == 1
    assert told["node EmptyImage"].parent.span_id == told["execute"].context.span_id
    assert told["job"].parent.span_id == told["submit"].context.span_id
    assert told["node EmptyImage"].attributes["comfyui.job_id"] == "traced"


def test_what_fails_is_marked_in_its_span(spans: Spans) -> None:
    with pytest.raises(ValueError, match="no"), span("part"):
        raise ValueError("no")
    assert not spans()["part"].status.is_ok


def test_a_span_that_no_block_holds_ends_when_it_is_told_and_with_what_went_wrong(spans: Spans) -> None:
    with span("whole"):
        end = begun_span("part", node_id="7")
        with span("beside"):
            pass
        end(ValueError("no"))
    told = spans()
    assert [told[name].parent.span_id for name in ("part", "beside")] == [told["whole"].context.span_id] * 2
    assert (told["part"].status.is_ok, told["part"].events[0].name) == (False, "exception")
    assert told["part"].attributes["comfyui.node_id"] == "7"


@pytest.mark.parametrize("above", ["junk", "00-0-0-00", None])
def test_what_is_no_traceparent_begins_a_trace_of_its_own(spans: Spans, above: str | None) -> None:
    with span("part", above=above):
        assert str(traceparent()).startswith("00-")
    assert spans()["part"].parent is None


def test_spans_that_wait_are_sent_where_they_are_asked_for() -> None:
    exporter = InMemorySpanExporter()
    stop = trace_with(BatchSpanProcessor(exporter, schedule_delay_millis=3_600_000))
    with span("part"):
        pass
    assert not exporter.get_finished_spans()
    flush_spans()
    assert [told.name for told in exporter.get_finished_spans()] == ["part"]
    stop()
    flush_spans()


def test_without_an_exporter_no_other_process_is_told_of_a_span() -> None:
    with span("part"):
        assert traceparent() is None
    begun_span("part")(None)


def test_without_an_exporter_a_span_is_nothing() -> None:
    with span("part"):
        pass


def test_spans_are_sent_to_the_collector_that_is_named() -> None:
    arrived = threading.Event()
    paths: list[str] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            paths.append(self.path)
            self.send_response(200)
            self.end_headers()
            arrived.set()

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Collector) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        stop = start_tracing(f"http://127.0.0.1:{server.server_port}/")
        with span("part"):
            pass
        stop()
        assert arrived.wait(30)
        server.shutdown()
        thread.join()
    assert paths == ["/v1/traces"]
