"""The RunPod worker: `python -m handlers.runpod_worker` is what the image starts."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import importlib
import os
from typing import Any

from handlers.runpod_wire import (
    RESULT_LIMIT_BYTES,
    SYNC,
    hand_back_on_sigterm,
    progress_post,
    sync_models,
    to_runpod,
)
from runtime.api.dispatch.build import build_seal
from runtime.api.dispatch.seal import Seal
from runtime.clock import Clock
from runtime.errors import HandedBack, InvalidRequest
from runtime.fitness import fit_worker
from runtime.gpu_allocator import choose_allocator
from runtime.gpu_thread import AFTER_GRACE_S, GpuThread
from runtime.jobs.record import Dispatch
from runtime.reference import read_request
from runtime.results import failed_result
from runtime.settings import Settings


async def handle(event: dict[str, Any], *, gpu: GpuThread, seal: Seal, refresh_worker: bool) -> dict[str, Any]:
    """Run one job, by RunPod's id where the client chose none; what fails is a result, a lost GPU a new worker.

    Raises CancelledError for a job that is cancelled, or handed back: RunPod shall hear nothing of it from here.
    """
    is_local = event["id"] == "local_test"
    dispatch = None if is_local else Dispatch(backend="runpod", platform_job_id=event["id"])
    if event.get("input") == SYNC:
        return await sync_models()
    try:
        data, tenant = seal.read(event.get("input"))
        request, warnings = read_request(data, strict=False)
        result = await gpu.run(request, progress_post(event), dispatch=dispatch, tenant=tenant)
        if result.error is not None and result.error.code == HandedBack.code:
            raise asyncio.CancelledError
        wire = result.model_copy(update={"warnings": (*warnings, *result.warnings)}).to_wire()
        return to_runpod(wire, refresh_worker=refresh_worker)
    except InvalidRequest as error:
        return to_runpod(failed_result(event["id"], error).to_wire(), refresh_worker=refresh_worker)


def main(*, clock: Clock | None = None) -> None:
    """Serve jobs until RunPod ends the worker; torch loads and the worker is built while `runpod` is imported."""
    settings = Settings.load()
    choose_allocator(settings)
    os.environ.setdefault("RUNPOD_LOG_LEVEL", "INFO")  # its default, DEBUG, prints results with their signed links
    for name in ("aiohttp", "paramiko", "requests", "tomlkit"):  # what `import runpod` computes on: docs/runpod.md
        with contextlib.suppress(ImportError):
            importlib.import_module(name)
    build = functools.partial(
        fit_worker, settings, delivery="base64", result_limit_bytes=RESULT_LIMIT_BYTES, clock=clock
    )
    with GpuThread(build, grace_s=settings.cancel_grace_s + AFTER_GRACE_S) as gpu:
        import runpod

        runpod.serverless.register_fitness_check(gpu.ready)
        handler = functools.partial(handle, gpu=gpu, seal=build_seal(settings), refresh_worker=settings.refresh_worker)
        runpod.serverless.start({"handler": handler, "concurrency_modifier": hand_back_on_sigterm(gpu)})


if __name__ == "__main__":
    main()
