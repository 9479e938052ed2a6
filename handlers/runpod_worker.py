"""The RunPod worker: `python -m handlers.runpod_worker` is what the image starts."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import os
import weakref
from collections import UserDict
from typing import Any

from runtime.errors import DeviceLost, InvalidRequest
from runtime.fitness import fit_worker
from runtime.gpu_thread import GpuThread
from runtime.progress import Progress, ProgressSink
from runtime.request import JobRequest
from runtime.results import failed_result
from runtime.settings import Settings

RESULT_LIMIT_BYTES = 20_000_000  # RunPod refuses a larger result with 400 Bad Request, and its library then loses it


async def handle(event: dict[str, Any], *, gpu: GpuThread, refresh_worker: bool) -> dict[str, Any]:
    """Run one job, by RunPod's id where the client chose none; what fails is a result, a lost GPU a new worker."""
    try:
        request, warnings = JobRequest.parse(event.get("input"), strict=False)
        job_id = request.job_id or (None if event["id"] == "local_test" else event["id"])
        result = await gpu.run(request.model_copy(update={"job_id": job_id}), progress_post(event))
        wire = to_runpod(result.model_copy(update={"warnings": (*warnings, *result.warnings)}).to_wire())
    except InvalidRequest as error:
        wire = to_runpod(failed_result(event["id"], error).to_wire())
    is_broken = wire.get("error_detail", {}).get("code") == DeviceLost.code
    return wire | ({"refresh_worker": True} if refresh_worker or is_broken else {})


def to_runpod(wire: dict[str, Any]) -> dict[str, Any]:
    """The result with `error` as the string that RunPod's clients expect, and the object as `error_detail`."""
    if (size_bytes := len(json.dumps(wire))) > RESULT_LIMIT_BYTES:
        raise InvalidRequest(
            f"the result is {size_bytes} bytes, RunPod takes {RESULT_LIMIT_BYTES}: expected a bucket for links "
            "(BUCKET_ENDPOINT_URL), or output.format jpeg or webp, or fewer pictures"
        )
    detail = wire.pop("error", None)
    return wire | ({"error": f"{detail['code']}: {detail['message']}", "error_detail": detail} if detail else {})


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


def main() -> None:
    """Serve jobs until RunPod ends the worker; torch loads and the worker is built while `runpod` is imported."""
    settings = Settings.from_env(os.environ)
    os.environ.setdefault("RUNPOD_LOG_LEVEL", "INFO")  # its default, DEBUG, prints results with their signed links
    for name in ("aiohttp", "paramiko", "requests", "tomlkit"):  # what `import runpod` computes on: docs/runpod.md
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    with GpuThread(functools.partial(fit_worker, settings, delivery="base64"), grace_s=settings.cancel_grace_s) as gpu:
        import runpod

        runpod.serverless.register_fitness_check(gpu.ready)
        runpod.serverless.start({"handler": functools.partial(handle, gpu=gpu, refresh_worker=settings.refresh_worker)})


if __name__ == "__main__":
    main()
