"""The whole OpenAPI document against the live app: what schemathesis makes of it gets no 5xx and no surprise."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import httpx
import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, given, settings
from schemathesis.specs.openapi import checks

from runtime.api.build import build_api
from runtime.settings import Settings

CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.response_schema_conformance,
    checks.status_code_conformance,
    checks.content_type_conformance,
]
ENDLESS = ("wait",)  # a job that is retried keeps a call that waits for it


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a deployment."""
    listener = socket.create_server(("127.0.0.1", 0))
    address = f"http://127.0.0.1:{listener.getsockname()[1]}"
    env = {"STORAGE_BASE_PATH": str(tmp_path_factory.mktemp("live")), "DEVICE": "cpu", "PUBLIC_URL": address}
    server = uvicorn.Server(uvicorn.Config(build_api(Settings.from_env(env)), log_level="error"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    graph = {"1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}}}
    httpx.post(f"{address}/workflows/execute?wait=60", json={"workflow": graph}, timeout=90)  # the worker is up then
    yield address
    server.should_exit = True
    thread.join()
    listener.close()


def hold(address: str, *, examples: int) -> list[str]:
    """Hold the app against its document, and answer the operations that were asked."""
    schema = schemathesis.openapi.from_url(f"{address}/openapi.json")
    asked: list[str] = []
    for found in schema.get_all_operations():
        operation = found.ok()

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def answered(case: schemathesis.Case) -> None:
            for name in ENDLESS:
                case.query.pop(name, None)
            case.call_and_validate(checks=CHECKS, timeout=30)

        answered()
        asked.append(operation.label)
    return asked


def test_the_document_is_kept_to(live: str) -> None:
    asked = hold(live, examples=2)
    assert len(asked) == sum(len(methods) for methods in httpx.get(f"{live}/openapi.json").json()["paths"].values())


@pytest.mark.slow
def test_the_document_is_kept_to_by_far_more_requests(live: str) -> None:
    hold(live, examples=100)
