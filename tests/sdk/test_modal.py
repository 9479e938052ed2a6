"""The client before a Modal app, whose calls are made in this process: `Calls` is what the modal package is behind."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from comfyui_serverless import AsyncClient, Client
from comfyui_serverless.errors import Cancelled, ClientError, JobError, NotFound
from comfyui_serverless.modal import ModalBackend
from comfyui_serverless.settings import APP, deployment_from_env
from modal.exception import AuthError, NotFoundError, RemoteError

GRAPH = {"1": {"class_type": "SaveImage", "inputs": {}}}


class CallsHere:
    """Calls that run when they are looked at."""

    def __init__(self, run: Callable[[Mapping[str, Any]], Mapping[str, Any]]) -> None:
        self._run = run
        self._waiting: dict[str, Mapping[str, Any]] = {}
        self._cancelled: set[str] = set()

    def spawn(self, wire: Mapping[str, Any]) -> str:
        call_id = f"fc-{len(self._waiting)}"
        self._waiting[call_id] = wire
        return call_id

    def get(self, call_id: str, timeout_s: float) -> Mapping[str, Any] | None:
        if call_id in self._cancelled:
            raise RemoteError("The call was terminated")
        if call_id not in self._waiting:
            raise NotFoundError("no such call")
        return self._run(self._waiting[call_id]) if timeout_s else None

    def cancel(self, call_id: str) -> None:
        self._cancelled.add(call_id)


def done(wire: Mapping[str, Any]) -> Mapping[str, Any]:
    data = {"data": "aGVsbG8=", "filename": "a.png", "kind": "image", "node_id": "1", "content_type": "image/png"}
    image = {"filename": "a.png", "type": "base64", "data": data["data"]}
    return {"job_id": wire["job_id"], "status": "completed", "outputs": [data], "images": [image]}


def client(calls: CallsHere) -> Client:
    opened = Client(modal="studio")
    opened._backend = ModalBackend(app="studio", calls=calls)
    return opened


def test_a_job_is_spawned_waited_for_and_saved() -> None:
    with client(CallsHere(done)) as opened:
        job = opened.submit(GRAPH, job_id="mine")
        assert (job.id, job.status, job.refresh().status) == ("fc-0", "pending", "running")
        assert job.result().images[0].filename == "a.png"


def test_the_asynchronous_client_does_the_same() -> None:
    async def run() -> str:
        async with AsyncClient(modal="studio") as opened:
            opened._backend = ModalBackend(app="studio", calls=CallsHere(done))
            job = await opened.submit(GRAPH)
            await job.result()
            return job.status

    assert asyncio.run(run()) == "completed"


def test_a_cancelled_job_says_so() -> None:
    with client(CallsHere(done)) as opened:
        job = opened.submit(GRAPH)
        assert job.cancel().status == "cancelled"
        with pytest.raises(Cancelled):
            job.result()


def test_what_the_worker_raised_is_the_jobs_error() -> None:
    def fail(wire: Mapping[str, Any]) -> Mapping[str, Any]:
        raise ValueError("no such thing")

    with client(CallsHere(fail)) as opened, pytest.raises(JobError, match="ValueError: no such thing"):
        opened.run(GRAPH)


def test_a_job_that_is_not_there_is_not_found() -> None:
    with client(CallsHere(done)) as opened, pytest.raises(NotFound, match="app 'studio'"):
        opened.job("fc-9")


def test_credentials_that_are_refused_say_where_to_get_them() -> None:
    def refuse(wire: Mapping[str, Any]) -> Mapping[str, Any]:
        raise AuthError("token missing")

    with client(CallsHere(refuse)) as opened, pytest.raises(ClientError, match="modal setup"):
        opened.run(GRAPH)


def test_modal_lists_no_jobs() -> None:
    with client(CallsHere(done)) as opened, pytest.raises(ClientError, match="Modal lists no jobs"):
        opened.jobs()


def test_the_environment_may_name_the_app() -> None:
    assert deployment_from_env({APP: "studio"}).backend == ModalBackend(app="studio")
