"""RunPod's own client against our API, over a real socket."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import uvicorn

from runtime.api.build import build_api
from runtime.settings import Settings

Workflow = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A running API that asks for no token."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    env = {"STORAGE_BASE_PATH": str(tmp_path_factory.mktemp("runpod")), "DEVICE": "cpu", "PUBLIC_URL": address}
    server = uvicorn.Server(uvicorn.Config(build_api(Settings.from_env(env)), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    yield address
    server.should_exit = True
    thread.join()
    listener.close()


@pytest.fixture
def endpoint(url: str, monkeypatch: pytest.MonkeyPatch) -> Any:
    import runpod

    monkeypatch.setattr(runpod, "endpoint_url_base", f"{url}/v2")
    monkeypatch.setattr(runpod, "api_key", "none-is-needed")
    return runpod.Endpoint("desk")


def test_runsync_answers_the_output(endpoint: Any, workflow: Workflow) -> None:
    output = endpoint.run_sync({"input": {"workflow": workflow()}})
    assert output["images"][0]["type"] == "s3_url"


def test_run_is_waited_for_by_status(endpoint: Any, workflow: Workflow) -> None:
    job = endpoint.run({"input": {"workflow": workflow(1), "unknown": 1}})
    assert job.output(timeout=60)["status"] == "completed"
    assert job.status() == "COMPLETED"


def test_a_stream_gives_the_output_once_and_ends(endpoint: Any, workflow: Workflow) -> None:
    job = endpoint.run({"input": {"workflow": workflow(3)}})
    assert [piece["status"] for piece in job.stream()] == ["completed"]


def test_a_bad_graph_fails_with_an_error_string(url: str, workflow: Workflow) -> None:
    import httpx

    call = {"input": {"workflow": {"1": {"class_type": "Nothing", "inputs": {}}}}}
    state = httpx.post(f"{url}/v2/desk/runsync", json=call, timeout=60).json()
    assert state["status"] == "FAILED"
    assert state["error"].startswith("unknown_node: ")
    assert state["output"]["error_detail"]["code"] == "unknown_node"


def test_a_job_is_cancelled(endpoint: Any, workflow: Workflow) -> None:
    job = endpoint.run({"input": {"workflow": workflow(2)}})
    assert job.cancel()["status"] in ("CANCELLED", "COMPLETED")


def test_health_has_runpods_form(endpoint: Any) -> None:
    assert set(endpoint.health()) == {"jobs", "workers"}
