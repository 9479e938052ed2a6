"""Jobs that the API sends to other machines: run once, by workers that find them in the shared stores."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from handlers.runpod_worker import handle
from runtime.api.dispatch import modal
from runtime.api.dispatch.build import build_seal
from runtime.build import build
from runtime.errors import StateUnavailable
from runtime.gpu_thread import GpuThread
from runtime.jobs.record import JobKey
from runtime.request import JobRequest
from runtime.settings import Settings
from runtime.telemetry.traces import trace_with

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
RUNPOD = {"DISPATCH": "runpod", "RUNPOD_ENDPOINT_ID": "ep1", "RUNPOD_API_KEY": "rp-key"}

Run = Callable[[str, Any], dict[str, Any]]


@pytest.fixture
def run(shared: dict[str, str]) -> Iterator[Run]:
    """`run(id, input)`: what the RunPod worker answers to a job."""
    settings = Settings.from_env(shared)
    with GpuThread(partial(build, settings)) as gpu:
        seal = build_seal(settings)

        def handled(platform_id: str, data: Any) -> dict[str, Any]:
            event = {"id": platform_id, "input": data}
            return asyncio.run(handle(event, gpu=gpu, seal=seal, refresh_worker=False))

        yield handled


@contextmanager
def logged_in(url: str) -> Iterator[httpx.Client]:
    body = {"email": "ada@example.org", "password": "correct horse battery"}
    with httpx.Client(base_url=url, timeout=30) as client:
        token = client.post("/auth/register", json=body).json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client


def test_a_job_goes_to_runpod_by_its_id_and_comes_back_through_the_store(
    served: Callable[..., str], platform: Any, run: Run
) -> None:
    with logged_in(served(**RUNPOD, RUNPOD_ENDPOINT_URL=platform.url)) as client:
        job = client.post("/workflows/execute", json={"workflow": GRAPH, "job_id": "j1"}).json()
        ((path, body),) = platform.asked
        assert (path, job["status"], platform.keys) == ("/ep1/run", "pending", {"Bearer rp-key"})
        assert b"EmptyImage" not in body
        assert run("rp-1", json.loads(body)["input"])["status"] == "completed"
        found = client.get("/workflows/j1").json()
    assert (found["status"], len(found["outputs"])) == ("completed", 1)


def test_a_job_that_runpod_was_sent_twice_runs_once(served: Callable[..., str], platform: Any, run: Run) -> None:
    with logged_in(served(**RUNPOD, RUNPOD_ENDPOINT_URL=platform.url)) as client:
        for _ in range(2):
            client.post("/workflows/execute", json={"workflow": GRAPH, "job_id": "j1"})
        first, second = (run(f"rp-{n}", json.loads(body)["input"]) for n, (_, body) in enumerate(platform.asked))
    assert first["timings_ms"] == second["timings_ms"]
    assert first["outputs"][0]["key"] == second["outputs"][0]["key"]


def test_the_worker_goes_on_with_the_request_and_the_trace_by_which_the_job_came(
    served: Callable[..., str], platform: Any, run: Run
) -> None:
    exporter = InMemorySpanExporter()
    stop = trace_with(SimpleSpanProcessor(exporter))
    trace_id, span_id = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    headers = {"X-Request-Id": "req-1", "traceparent": f"00-{trace_id}-{span_id}-01"}
    with logged_in(served(**RUNPOD, RUNPOD_ENDPOINT_URL=platform.url)) as client:
        client.post("/workflows/execute", json={"workflow": GRAPH, "job_id": "j1", "user_id": "ada"}, headers=headers)
    run("rp-1", json.loads(platform.asked[0][1])["input"])
    stop()
    told = {span.name: span for span in exporter.get_finished_spans() if f"{span.context.trace_id:032x}" == trace_id}
    assert {"POST request", "submit", "queue", "job", "execute", "node SaveImage", "deliver"} <= told.keys()
    assert f"{told['POST request'].parent.span_id:016x}" == span_id
    assert {told[name].parent.span_id for name in ("queue", "job")} == {told["submit"].context.span_id}
    assert told["node SaveImage"].attributes["comfyui.request_id"] == "req-1"
    assert told["job"].attributes["comfyui.user_id"] == "ada"


@pytest.mark.parametrize("answer", [(500, b"oops"), (401, b""), (200, b"<html>"), None])
def test_a_job_that_was_not_taken_waits_in_the_store_and_is_sent_when_it_comes_again(
    served: Callable[..., str], platform: Any, answer: tuple[int, bytes] | None
) -> None:
    taken = platform.answer
    platform.answer = lambda path, body: answer
    with logged_in(served(**RUNPOD, RUNPOD_ENDPOINT_URL=platform.url)) as client:
        refused = client.post("/workflows/execute", json={"workflow": GRAPH, "job_id": "j1"})
        assert (refused.status_code, refused.json()["code"]) == (503, "state_unavailable")
        assert client.get("/workflows/j1").json()["status"] == "pending"
        platform.answer = taken
        assert client.post("/workflows/execute", json={"workflow": GRAPH, "job_id": "j1"}).is_success
    assert len(platform.asked) == 2


def test_a_cancel_takes_the_job_out_of_runpods_queue(served: Callable[..., str], platform: Any, run: Run) -> None:
    with logged_in(served(**RUNPOD, RUNPOD_ENDPOINT_URL=platform.url)) as client:
        client.post("/workflows/execute", json={"workflow": GRAPH, "job_id": "j1"})
        assert client.post("/workflows/j1/cancel").json()["status"] == "cancelled"
    (_, sent), (path, _) = platform.asked
    assert path == "/ep1/cancel/rp-1"
    assert run("rp-1", json.loads(sent)["input"])["error_detail"]["code"] == "cancelled"


def test_a_worker_does_not_believe_a_proof_of_another_secret(run: Run) -> None:
    answer = run("rp-1", {"job_id": "j1", "tenant": "ada", "proof": "0" * 64})
    assert answer["error"].startswith("invalid_request: the job's proof is not of this deployment's SECRET_KEY")


def test_a_job_goes_to_a_peer_that_shares_the_stores(served: Callable[..., str]) -> None:
    peer = served()
    with logged_in(served(DISPATCH="http", DISPATCH_HTTP_URL=peer)) as client:
        client.post("/workflows/execute?wait=30", json={"workflow": GRAPH, "job_id": "j1"})
        found = client.get("/workflows/j1").json()
    assert found["status"] == "completed"


@pytest.mark.parametrize("call", [{"job_id": "j1"}, {"job_id": "j1", "tenant": "ada", "proof": "1"}, {}])
def test_a_peer_takes_no_job_without_the_proof(served: Callable[..., str], call: dict[str, str]) -> None:
    answer = httpx.post(f"{served(DISPATCH='modal', MODAL_APP='studio')}/dispatch", json=call)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


def test_an_api_without_a_worker_of_its_own_is_ready(served: Callable[..., str]) -> None:
    url = served(DISPATCH="modal", MODAL_APP="studio")
    assert httpx.get(f"{url}/health/readiness").json()["status"] == "ok"


def test_a_modal_app_is_called_with_the_jobs_name() -> None:
    calls: list[tuple[str, Mapping[str, Any]]] = []
    settings = Settings(tenant="acme")
    dispatcher = modal.ModalDispatcher(
        "studio", build_seal(settings), spawn=lambda app, data: calls.append((app, data))
    )
    dispatcher.send(JobKey("acme", "j1"), JobRequest.parse({"workflow": GRAPH})[0])
    assert calls == [("studio", {"job_id": "j1"})]


def test_what_the_modal_package_raises_means_that_the_job_was_not_taken() -> None:
    def fail(app: str, data: Mapping[str, Any]) -> None:
        raise RuntimeError("no such app")

    dispatcher = modal.ModalDispatcher("studio", build_seal(Settings(tenant="acme")), spawn=fail)
    with pytest.raises(StateUnavailable, match="Modal app 'studio' did not take the job: RuntimeError: no such app"):
        dispatcher.send(JobKey("acme", "j1"), JobRequest.parse({"workflow": GRAPH})[0])


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({"DISPATCH": "runpod"}, "expected RUNPOD_ENDPOINT_ID and RUNPOD_API_KEY set"),
        ({"DISPATCH": "modal"}, "expected MODAL_APP set"),
        ({"DISPATCH": "http"}, "expected DISPATCH_HTTP_URL set"),
        ({"DISPATCH": "sqs"}, "SQS_QUEUE_URL is not set"),
        ({"DISPATCH": "local,modal", "MODAL_APP": "a", "DYNAMODB_TABLE": ""}, "expected DYNAMODB_TABLE set"),
    ],
)
def test_a_dispatcher_that_lacks_a_setting_says_which(
    served: Callable[..., str], env: dict[str, str], said: str
) -> None:
    from runtime.errors import SettingsInvalid

    with pytest.raises(SettingsInvalid, match=said):
        served(**env)
