"""A request as it is sent: the workflow, what is laid over it, and the files that it needs."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from comfyui_serverless.backends import Backend
from comfyui_serverless.errors import ApiError, ClientError, JobError, WaitTimeout, job_error
from comfyui_serverless.flow import Call, Flow, Pause, request
from comfyui_serverless.outputs import Output
from comfyui_serverless.states import JobState
from comfyui_serverless.workflows import Workflow, check_overrides, read_workflow

Image = str | Path | bytes
"""A file for the graph: its path, its bytes, or an address (https://, s3://, data:, upload:)."""

LOOK_S = 20.0
"""How long one look at a job waits for something new."""
MOST_INLINE_BYTES = 64_000
"""A larger file is uploaded first, where the deployment takes uploads."""
_SCHEMES = ("https://", "http://", "s3://", "data:", "upload:")
_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is to be run; checked, and not yet sent."""

    workflow: Mapping[str, Any] | str = field(repr=False)
    overrides: Mapping[str, Any]
    images: Mapping[str, Image] = field(repr=False)
    options: Mapping[str, Any]
    job_id: str


def make_request(
    workflow: Workflow,
    overrides: Mapping[str, Any] | None,
    images: Mapping[str, Image] | None,
    job_id: str | None,
    options: Mapping[str, Any],
) -> Request:
    """The request, if its overrides fit its workflow. Raises ClientError."""
    read = read_workflow(workflow)
    check_overrides(read, overrides or {})
    given = {name: value for name, value in options.items() if value is not None}
    return Request(
        workflow=read,
        overrides=dict(overrides or {}),
        images=dict(images or {}),
        options=given,
        job_id=job_id or new_job_id(),
    )


def submit(backend: Backend, asked: Request) -> Flow[JobState]:
    """Upload what is large, and send the request. Sent again, it is the same job."""
    images = []
    for name, image in asked.images.items():
        reference = yield from _reference(backend, name, image)
        images.append({"name": name, "image": reference})
    wire: dict[str, Any] = {"workflow": asked.workflow, **asked.options}
    if asked.overrides:
        wire["overrides"] = asked.overrides
    if images:
        wire["images"] = images
    return (yield from backend.submit(wire, asked.job_id))


def ended(
    backend: Backend, state: JobState, *, timeout: float | None, seen: Callable[[JobState], None]
) -> Flow[JobState]:
    """The job once it has completed; each state on the way is `seen`.

    Raises JobError where it ends otherwise, WaitTimeout where it has not ended after `timeout` seconds.
    """
    ends_at = None if timeout is None else time.monotonic() + timeout
    while not state.has_ended:
        left = LOOK_S if ends_at is None else ends_at - time.monotonic()
        if left <= 0:
            raise WaitTimeout(f"job {state.job_id} is {state.status} after {timeout:g} s")
        state = yield from changed(backend, state, wait_s=min(left, LOOK_S))
        seen(state)
    error = outcome(state)
    if error is not None:
        raise error
    return state


def changed(backend: Backend, state: JobState, *, wait_s: float) -> Flow[JobState]:
    """The job once it is not as `state` has it any more, or as it stands after about `wait_s` seconds."""
    return (yield from backend.look(state.job_id, after=state.revision, wait_s=wait_s))


def download(backend: Backend, asked: Request | None, job_id: str, output: Output) -> Flow[bytes]:
    """The output's bytes, by a link that is signed anew where the one at hand has ended."""
    content = yield from _fetched(output.url)
    if content is None:
        state = yield from backend.look(job_id)
        content = yield from _fetched(_link(state, output))
    if (
        content is None and asked is not None
    ):  # a deployment that keeps its answer as it was signs another to the same job
        state = yield from _ended(backend, asked)
        content = yield from _fetched(_link(state, output))
    if content is None:
        raise ClientError(f"{output.filename} of job {job_id} is not there any more")
    return content


def outcome(state: JobState) -> JobError | None:
    """Why the job has no outputs; None where it completed."""
    if state.status == "completed":
        return None
    error = state.wire.get("error")
    return job_error(state.job_id, state.status, error if isinstance(error, Mapping) else {})


def new_job_id() -> str:
    """A ULID (ulid/spec): 48 bits of milliseconds and 80 random bits."""
    number = (int(time.time() * 1000) << 80) | int.from_bytes(os.urandom(10), "big")
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def _reference(backend: Backend, name: str, image: Image) -> Flow[str]:
    if isinstance(image, str) and image.startswith(_SCHEMES):
        return image
    data = image if isinstance(image, bytes) else _read(name, Path(image))
    if len(data) > MOST_INLINE_BYTES:
        uploaded = yield from backend.upload(name, data)
        if uploaded is not None:
            return uploaded
    return base64.b64encode(data).decode()


def _read(name: str, path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as exc:
        raise ClientError(f"image {name!r}: {path} cannot be read: {exc.strerror or exc}") from exc


def _ended(backend: Backend, asked: Request) -> Flow[JobState]:
    state = yield from submit(backend, asked)
    while not state.has_ended:
        yield Pause(seconds=0.2)
        state = yield from backend.look(state.job_id)
    return state


def _link(state: JobState, output: Output) -> str | None:
    for made in state.wire.get("outputs", ()):
        if (made.get("node_id"), made.get("sha256")) == (output.node_id, output.sha256):
            url = made.get("url")
            return None if url is None else str(url)
    return None


def _fetched(url: str | None) -> Flow[bytes | None]:
    """What the link leads to; None where it is none, or has ended."""
    if url is None:
        return None
    try:
        reply = yield from request(Call(method="GET", url=url, timeout_s=300, with_token=False))
    except ApiError as exc:
        if exc.status in (400, 403, 404):
            return None
        raise
    return reply.content
