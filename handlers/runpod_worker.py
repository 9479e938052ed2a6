"""The RunPod worker: `python -m handlers.runpod_worker` is what the image starts.

The library's worker loop takes jobs and returns results; this file stands between it and the GPU thread.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import os
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from runtime.build import build
from runtime.errors import InvalidRequest
from runtime.fitness import check_device
from runtime.gpu_thread import GpuThread
from runtime.progress import Progress
from runtime.request import JobRequest
from runtime.result import Failure, JobResult
from runtime.settings import Settings
from runtime.worker import Worker


class Event(dict[str, Any]):
    """RunPod's event, in a form that can be referred to weakly."""


class ProgressPost:
    """Posts progress as RunPod's progress updates, never two at a time: what comes while one is sent is dropped.

    `post` sends from a thread of its own, which drops the event it was given when it is through.
    """

    def __init__(self, post: Callable[[Event, Any], None], event: Mapping[str, Any]) -> None:
        self._post = post
        self._event = event
        self._on_its_way: Callable[[], Event | None] = lambda: None

    def __call__(self, progress: Progress) -> None:
        if self._on_its_way() is None:
            event = Event(self._event)
            self._on_its_way = weakref.ref(event)
            self._post(event, progress.to_wire())


async def handle(event: dict[str, Any], *, gpu: GpuThread, refresh_worker: bool) -> dict[str, Any]:
    """Run one job. RunPod's library empties the dictionary that it is given, so it is a fresh one."""
    import runpod

    job_id = str(event.get("id"))
    try:
        request, warnings = JobRequest.parse(event.get("input"), strict=False)
    except InvalidRequest as error:
        result = JobResult(job_id=job_id, status="failed", error=Failure.of(error))
    else:
        result = await gpu.run(request, ProgressPost(runpod.serverless.progress_update, event))
    return to_runpod(result) | ({"refresh_worker": True} if refresh_worker else {})


def to_runpod(result: JobResult) -> dict[str, Any]:
    """The result with `error` as the string that RunPod's clients expect, and the object as `error_detail`."""
    wire = dict(result.to_wire())
    if detail := wire.pop("error", None):
        wire |= {"error": f"{detail['code']}: {detail['message']}", "error_detail": detail}
    return wire


def main() -> None:
    """Serve jobs until RunPod ends the worker; torch is imported and the worker built while `runpod` is imported."""
    settings = Settings.from_env(os.environ)
    import_ahead()
    with GpuThread(functools.partial(fit_worker, settings)) as gpu:
        import runpod

        runpod.serverless.register_fitness_check(gpu.ready)
        handler = functools.partial(handle, gpu=gpu, refresh_worker=settings.refresh_worker)
        runpod.serverless.start({"handler": handler})


def fit_worker(settings: Settings) -> Worker:
    check_device(settings.device)
    return build(settings)


def import_ahead() -> None:
    """Import what `import runpod` computes on; what is then left of it is a second's wait for a subprocess."""
    for name in ("aiohttp", "paramiko", "requests", "tomlkit"):
        with contextlib.suppress(ImportError):
            importlib.import_module(name)


if __name__ == "__main__":
    main()
