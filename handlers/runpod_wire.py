"""What goes between our results and RunPod's library: forms, progress updates, signals."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import weakref
from collections import UserDict
from collections.abc import Callable
from typing import Any

from runtime.errors import DeviceLost, InvalidRequest
from runtime.gpu_thread import GpuThread
from runtime.progress import Progress, ProgressSink

RESULT_LIMIT_BYTES = 20_000_000  # RunPod refuses a larger result with 400 Bad Request, and its library then loses it
SYNC = {"sync_models": True}
"""The input of a job that is no workflow."""


def to_runpod(wire: dict[str, Any], *, refresh_worker: bool = False) -> dict[str, Any]:
    """The result with `error` as the string that RunPod's clients expect, and the object as `error_detail`.

    A worker that lost its GPU asks for a new one in its place.
    """
    if (size_bytes := len(json.dumps(wire))) > RESULT_LIMIT_BYTES:
        raise InvalidRequest(
            f"the result is {size_bytes} bytes, RunPod takes {RESULT_LIMIT_BYTES}: expected a bucket for links "
            "(BUCKET_ENDPOINT_URL), or output.format jpeg or webp, or fewer pictures"
        )
    detail = wire.pop("error", None)
    refreshes = refresh_worker or (detail is not None and detail["code"] == DeviceLost.code)
    told = {"error": f"{detail['code']}: {detail['message']}", "error_detail": detail} if detail else {}
    return wire | told | ({"refresh_worker": True} if refreshes else {})


async def sync_models() -> dict[str, Any]:
    """Bring the manifest's models onto this worker's volume, in a process of its own: what a deployment asks for."""
    command = (sys.executable, "-c", "import sys; from runtime.commands.models import main; sys.exit(main(['sync']))")
    status = await (await asyncio.create_subprocess_exec(*command)).wait()
    return {"error": f"sync_failed: `models sync` ended with {status}"} if status else {"status": "completed"}


def progress_post(event: dict[str, Any]) -> ProgressSink:
    """A sink that posts progress updates one at a time; the library's thread holds its event until it is through."""
    import runpod

    posted = weakref.ref(UserDict[str, Any]())

    def post(progress: Progress) -> None:
        nonlocal posted
        if posted() is None and "RUNPOD_WEBHOOK_POST_OUTPUT" in os.environ:
            posted = weakref.ref(update := UserDict(event))
            runpod.serverless.progress_update(update, progress.to_wire())

    return post


def hand_back_on_sigterm(gpu: GpuThread) -> Callable[[int], int]:
    """A concurrency modifier that changes nothing, but lets SIGTERM hand the job back and end the process.

    The library calls it each time it looks for jobs, and by then has set its own handler, which would let the running
    job end first, and take another meanwhile.
    """

    def stop(signum: int, frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        gpu.hand_back()
        raise SystemExit(0)  # which cancels the library's loops, and waits until the job has left

    def modify(concurrency: int) -> int:
        signal.signal(signal.SIGTERM, stop)
        return concurrency

    return modify
