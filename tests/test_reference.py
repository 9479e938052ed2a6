"""Requests that do not come along: by key, by address, by the job that they are stored with."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from runtime.build import build
from runtime.course import TAKEN_OVER_S
from runtime.errors import InvalidRequest
from runtime.jobs.record import JobFacts
from runtime.reference import RequestReference, read_request
from runtime.request import JobRequest
from runtime.result import JobResult
from runtime.settings import Settings
from runtime.worker import Worker

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
BODY = json.dumps({"workflow": GRAPH, "user_id": "bob", "unknown": 1}).encode()


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    folders = {"STORAGE_BASE_PATH": "data", "MODELS_PATH": "models", "COMFYUI_TEMP_PATH": "work"}
    settings = {name: str(tmp_path / part) for name, part in folders.items()}
    worker = build(Settings.from_env({"DEVICE": "cpu", "ALLOW_PRIVATE_URLS": "true", **settings}))
    yield worker
    worker.close()


@pytest.fixture
def run(worker: Worker) -> Callable[..., JobResult]:
    def job(**reference: Any) -> JobResult:
        request, warnings = read_request(reference)
        assert (type(request), warnings) == (RequestReference, [])
        return worker.run(request)

    return job


@pytest.fixture
def address() -> Iterator[str]:
    """Where a server answers BODY."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path.startswith("/mine.json") else 404)
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing of it is looked at."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def test_a_whole_request_is_none() -> None:
    request, _ = read_request({"workflow": GRAPH, "job_id": "a"})
    assert isinstance(request, JobRequest)


def test_a_request_runs_from_the_artifact_store(worker: Worker, run: Callable[..., JobResult]) -> None:
    worker._parts.artifacts.put("requests/default/mine.json", BODY, "application/json")
    result = run(request_key="requests/default/mine.json", job_id="a")
    assert (result.job_id, result.status) == ("a", "completed")
    record = worker._parts.jobs.get("default", "a")
    assert record is not None
    assert record.user_id == "bob"


def test_a_request_runs_from_an_address(run: Callable[..., JobResult], address: str) -> None:
    assert run(request_url=f"{address}/mine.json?signature=s3cret").status == "completed"


def test_an_address_that_does_not_answer_is_told_without_its_query(run: Callable[..., JobResult], address: str) -> None:
    error = run(request_url=f"{address}/gone?signature=s3cret").error
    assert error is not None
    assert (error.code, error.message.startswith("request_url: "), "s3cret" in error.message) == (
        "input_unreachable",
        True,
        False,
    )


def test_the_id_alone_of_a_job_whose_request_was_not_stored_answers_its_result(
    worker: Worker, run: Callable[..., JobResult]
) -> None:
    request, _ = JobRequest.parse({"workflow": GRAPH, "job_id": "a"})
    ended = worker.run(request)
    again = run(job_id="a")
    assert (again.status, [output.key for output in again.outputs]) == (
        "completed",
        [output.key for output in ended.outputs],
    )
    assert again.outputs[0].url is not None


@pytest.mark.parametrize(("requeue", "retry_after_s"), [("never", None), ("anywhere", TAKEN_OVER_S)])
def test_the_id_alone_of_a_job_that_runs_elsewhere_answers_its_state(
    worker: Worker, requeue: Any, retry_after_s: float | None
) -> None:
    facts = JobFacts(tenant="default", job_id="a", request_sha256="a" * 64, workflow_sha256="b" * 64)
    worker._parts.jobs.claim(facts, worker_id="another")
    result = worker.run(RequestReference(job_id="a"), requeue=requeue)
    assert (result.status, result.has_ended, result.retry_after_s) == ("running", False, retry_after_s)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ({"request_key": "requests/default/gone.json"}, "is not there, expected a key under requests/default/"),
        ({"request_key": "requests/other/theirs.json"}, "is not there, expected a key under requests/default/"),
        ({"request_key": "requests/default/../other/theirs.json"}, "segment"),
        ({"request_url": "s3://bucket/key"}, "this deployment does not read"),
        ({"job_id": "unknown"}, "workflow is missing, and no request is stored with job_id 'unknown'"),
    ],
    ids=["no such key", "another tenant's", "climbing", "s3", "no such job"],
)
def test_a_reference_to_nothing_is_an_invalid_request(
    worker: Worker, run: Callable[..., JobResult], reference: Any, message: str
) -> None:
    worker._parts.artifacts.put("requests/other/theirs.json", BODY, "application/json")
    error = run(**reference).error
    assert error is not None
    assert (error.code, message in error.message) == ("invalid_request", True)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"request_key": "outputs/default/a.json"}, "wrong in request_key"),
        ({"request_url": "https://host/a", "user_id": "bob"}, "wrong in user_id"),
        ({"request_url": "https://host/a", "request_key": "requests/a/b"}, "expected one of them"),
        ({"job_id": "not a job id"}, "workflow is missing"),
        ({}, "workflow is missing"),
    ],
)
def test_a_malformed_reference_is_refused_by_field(data: Any, message: str) -> None:
    with pytest.raises(InvalidRequest, match=message):
        read_request(data)


def test_a_reference_shows_neither_its_address_nor_its_key() -> None:
    reference, _ = read_request({"request_url": "https://host/a?s3cret", "comfy_org_api_key": "s3cret"})
    assert "s3cret" not in repr(reference)
