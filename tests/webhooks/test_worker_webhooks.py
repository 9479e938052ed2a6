"""A request with a webhook, from the worker that runs it to the one who is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from standardwebhooks import Webhook

from runtime.build import build, build_sweeper
from runtime.clock import SystemClock
from runtime.jobs.webhook_moves import HOLD_S
from runtime.request import JobRequest
from runtime.settings import Settings
from runtime.worker import Worker

from .conftest import SECRET, Receiver

GRAPH: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
BROKEN = {"1": {"class_type": "SaveImage", "inputs": {"filename_prefix": "a"}}}
EVENTS = ["completed", "failed", "progress"]


@pytest.fixture
def settings(tmp_path: Path) -> Callable[..., Settings]:
    folders = {"STORAGE_BASE_PATH": "data", "MODELS_PATH": "models", "COMFYUI_TEMP_PATH": "work"}
    own = {"DEVICE": "cpu", "WEBHOOK_SECRET": SECRET, "ALLOW_PRIVATE_URLS": "true"}
    own |= {name: str(tmp_path / part) for name, part in folders.items()}
    return lambda **changes: Settings.from_env({**own, **changes})


@pytest.fixture
def worker(settings: Callable[..., Settings]) -> Iterator[Callable[..., Worker]]:
    with ExitStack() as stack:

        def make(**changes: str) -> Worker:
            worker = build(settings(**changes))
            stack.callback(worker.close)
            return worker

        yield make


def request(receiver: Receiver, workflow: Any = GRAPH) -> JobRequest:
    return JobRequest.parse(
        {"workflow": workflow, "job_id": "job-1", "webhook": {"url": receiver.url, "events": EVENTS}}
    )[0]


def messages(receiver: Receiver) -> list[dict[str, Any]]:
    return [Webhook(SECRET).verify(body, headers) for headers, body in receiver.received]


@pytest.mark.parametrize(("workflow", "end"), [(GRAPH, "completed"), (BROKEN, "failed")], ids=["completed", "failed"])
def test_a_job_s_end_is_told_and_then_no_longer_due(
    worker: Callable[..., Worker], receiver: Receiver, workflow: Any, end: str
) -> None:
    running = worker()
    result = running.run(request(receiver, workflow))
    running.close()
    told = messages(receiver)
    assert (told[-1]["type"], told[-1]["data"]["status"]) == (f"job.{end}", result.status)
    assert {message["type"] for message in told[:-1]} <= {"job.progress"}
    if end == "completed":
        assert told[-1]["data"]["outputs"][0]["sha256"] == result.outputs[0].sha256
    record = running._parts.jobs.get("default", "job-1")
    assert record is not None
    assert record.webhooks_due == ()


class Later(SystemClock):
    def wall(self) -> float:
        return super().wall() + HOLD_S + 60


def test_what_the_worker_could_not_tell_the_sweeper_tells(
    worker: Callable[..., Worker], settings: Callable[..., Settings], receiver: Receiver
) -> None:
    receiver.answers = [(503, {})] * 2
    running = worker()
    running.run(request(receiver))
    running.close()
    receiver.answers = []
    assert build_sweeper(settings(), clock=Later()).sweep().webhooks_delivered == 1


def test_a_request_that_asks_for_what_a_deployment_does_not_send_is_refused(
    worker: Callable[..., Worker], receiver: Receiver
) -> None:
    result = worker(WEBHOOK_SECRET="").run(request(receiver))
    assert result.error is not None
    assert (result.error.code, receiver.received) == ("invalid_request", [])
    assert "WEBHOOK_SECRET" in result.error.message


def test_a_private_address_is_refused_by_default(worker: Callable[..., Worker], receiver: Receiver) -> None:
    result = worker(ALLOW_PRIVATE_URLS="").run(request(receiver))
    assert result.error is not None
    assert "expected https" in result.error.message
    assert "s3cret" not in result.error.message
