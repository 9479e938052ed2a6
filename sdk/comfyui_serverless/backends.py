"""The deployments that a client speaks to: our HTTP API, and RunPod's. Both say the same of a job."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from comfyui_serverless.errors import ApiError, ClientError
from comfyui_serverless.flow import Call, Flow, Pause, request
from comfyui_serverless.states import JobState, Progress

RUNPOD_URL = "https://api.runpod.ai/v2"

DIRECT_BYTES = 5_000_000
"""A larger file goes straight to the deployment's bucket, where it has one."""
_LOOK_S = 20.0
"""How long one look at a job waits for something new, where the deployment lets it."""
_POLL_S = 1.0


class Backend(Protocol):
    """Flows for what a client does with jobs. Submitting the same job id again is the same job."""

    @property
    def base_url(self) -> str:
        """What the paths of its calls are below."""

    def submit(self, wire: Mapping[str, Any], job_id: str) -> Flow[JobState]:
        """Send a request."""

    def look(self, job_id: str, *, after: int | None = None, wait_s: float = 0) -> Flow[JobState]:
        """The job as it stands; with `wait_s`, once something is newer than revision `after`, or after a while."""

    def cancel(self, job_id: str) -> Flow[JobState]:
        """Ask for the job's end."""

    def upload(self, name: str, data: bytes) -> Flow[str | None]:
        """What a request names the file by; None where files go along with the request itself."""

    def list(
        self, *, user_id: str | None, limit: int, cursor: str | None, status: str | None
    ) -> Flow[Mapping[str, Any]]:
        """A page of jobs, newest first."""


@dataclass(frozen=True, kw_only=True)
class HttpBackend:
    """A deployment of our own HTTP API."""

    base_url: str

    def submit(self, wire: Mapping[str, Any], job_id: str) -> Flow[JobState]:
        reply = yield from request(Call(method="POST", url="/workflows/execute", json={**wire, "job_id": job_id}))
        return _of_api(reply.json())

    def look(self, job_id: str, *, after: int | None = None, wait_s: float = 0) -> Flow[JobState]:
        wait_s = min(wait_s, _LOOK_S)
        params = {"wait": wait_s, "after": after or 0} if wait_s else {}
        call = Call(method="GET", url=f"/workflows/{quote(job_id)}", params=params, timeout_s=30 + wait_s)
        reply = yield from request(call)
        return _of_api(reply.json())

    def cancel(self, job_id: str) -> Flow[JobState]:
        reply = yield from request(Call(method="POST", url=f"/workflows/{quote(job_id)}/cancel"))
        return _of_api(reply.json())

    def upload(self, name: str, data: bytes) -> Flow[str | None]:
        if len(data) > DIRECT_BYTES:
            image = yield from self._upload_directly(name, data)
            if image is not None:
                return image
        call = Call(method="POST", url="/files/upload", files={"file": (name, data)}, timeout_s=300)
        reply = yield from request(call)
        return str(reply.json()["image"])

    def _upload_directly(self, name: str, data: bytes) -> Flow[str | None]:
        """Put the file into the deployment's bucket; None where it has none, or takes no such file there."""
        announced = {"filename": name, "size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        try:
            reply = yield from request(Call(method="POST", url="/files/presign", json=announced))
        except ApiError as exc:
            if exc.status in (404, 405, 422):  # no bucket, an earlier release, a name that says nothing
                return None
            raise
        told = reply.json()
        if (form := told["upload"]) is not None:
            yield from request(
                Call(
                    method="POST",
                    url=form["url"],
                    form=form["fields"],
                    files={"file": (name, data)},
                    timeout_s=600,
                    with_token=False,
                )
            )
        return str(told["image"])

    def list(
        self, *, user_id: str | None, limit: int, cursor: str | None, status: str | None
    ) -> Flow[Mapping[str, Any]]:
        given = {"user_id": user_id, "limit": limit, "cursor": cursor, "status": status}
        params = {name: value for name, value in given.items() if value is not None}
        reply = yield from request(Call(method="GET", url="/workflows", params=params))
        page: Mapping[str, Any] = reply.json()
        return page


class JobsOnly(ABC):
    """What a platform that keeps neither files nor a list of jobs answers to those who ask for them."""

    def upload(self, name: str, data: bytes) -> Flow[str | None]:
        return None
        yield  # a flow all the same

    def list(
        self, *, user_id: str | None, limit: int, cursor: str | None, status: str | None
    ) -> Flow[Mapping[str, Any]]:
        raise ClientError(self._why_no_list())
        yield  # a flow all the same

    @abstractmethod
    def _why_no_list(self) -> str:
        """For the user, with what to do instead."""


@dataclass(frozen=True, kw_only=True)
class RunPodBackend(JobsOnly):
    """An endpoint of RunPod's. Jobs are known there by RunPod's own ids, which are what `job_id` is here."""

    base_url: str

    def submit(self, wire: Mapping[str, Any], job_id: str) -> Flow[JobState]:
        reply = yield from request(Call(method="POST", url="/run", json={"input": {**wire, "job_id": job_id}}))
        return _of_runpod(reply.json())

    def look(self, job_id: str, *, after: int | None = None, wait_s: float = 0) -> Flow[JobState]:
        if wait_s and after is not None:  # RunPod counts no changes: a look again later is all there is
            yield Pause(seconds=min(wait_s, _POLL_S))
        reply = yield from request(Call(method="GET", url=f"/status/{quote(job_id)}"))
        return _of_runpod(reply.json())

    def cancel(self, job_id: str) -> Flow[JobState]:
        reply = yield from request(Call(method="POST", url=f"/cancel/{quote(job_id)}"))
        return _of_runpod(reply.json())

    def _why_no_list(self) -> str:
        return "RunPod lists no jobs: keep the ids, or list them through a deployment of the HTTP API"


_RUNPOD_STATUS = {
    "IN_QUEUE": "pending",
    "IN_PROGRESS": "running",
    "COMPLETED": "completed",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
    "TIMED_OUT": "timed_out",
}


def _of_api(wire: Mapping[str, Any]) -> JobState:
    status = str(wire["status"])
    return JobState(
        job_id=str(wire.get("execution_id") or wire["job_id"]),
        status=status,
        revision=int(wire.get("revision") or 0),
        progress=Progress.of(wire.get("progress")),
        wire=wire,
    )


def _of_runpod(wire: Mapping[str, Any]) -> JobState:
    output = wire.get("output") if isinstance(wire.get("output"), dict) else {}
    status = _RUNPOD_STATUS.get(str(wire.get("status")), "failed")
    if status in ("pending", "running"):
        return JobState(job_id=str(wire["id"]), status=status, progress=Progress.of(output))
    return JobState(job_id=str(wire["id"]), status=_told(status, output), wire=_with_error(wire, output or {}))


def _told(status: str, output: Mapping[str, Any] | None) -> str:
    """Our own word for the end, where the worker said one: RunPod knows a job that was cancelled by us as failed."""
    own = (output or {}).get("status")
    return str(own) if status == "failed" and own in ("cancelled", "timed_out") else status


def _with_error(wire: Mapping[str, Any], output: Mapping[str, Any]) -> Mapping[str, Any]:
    detail = output.get("error_detail")
    if isinstance(detail, dict):
        return {**output, "error": detail}
    if wire.get("error"):
        code, _, message = str(wire["error"]).partition(": ")
        is_code = bool(message) and code.replace("_", "").isalnum() and code.islower()
        return {**output, "error": {"code": code if is_code else "failed", "message": message if is_code else code}}
    return output
