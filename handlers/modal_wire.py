"""What goes between a worker and Modal: requests, progress, and whose job a retried input is."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from typing import Any

import modal

from runtime.api.dispatch.build import build_seal
from runtime.errors import HandedBack, InvalidRequest
from runtime.gpu_thread import GpuThread
from runtime.ids import new_job_id
from runtime.jobs.record import Dispatch
from runtime.progress import Progress, ProgressSink, ignore_progress
from runtime.reference import read_request
from runtime.results import failed_result
from runtime.settings import Settings


def answer(gpu: GpuThread, data: Any) -> dict[str, Any]:
    """Run one job. What Modal raises here to cancel it cancels the job, and leaves once the job has left the GPU."""
    return asyncio.run(_run(gpu, data, ignore_progress))


def streamed(gpu: GpuThread, data: Any) -> Iterator[dict[str, Any]]:
    """A job's progress as it comes, then its result. A generator that is closed early cancels its job."""
    loop = asyncio.new_event_loop()
    events: asyncio.Queue[Progress | None] = asyncio.Queue()
    job = loop.create_task(_run(gpu, data, events.put_nowait))
    job.add_done_callback(lambda _: events.put_nowait(None))
    try:
        while (progress := loop.run_until_complete(events.get())) is not None:
            yield {"progress": progress.to_wire()}
        yield job.result()
    finally:
        job.cancel()
        loop.run_until_complete(asyncio.gather(job, return_exceptions=True))
        loop.close()


async def _run(gpu: GpuThread, data: Any, on_progress: ProgressSink) -> dict[str, Any]:
    """One job, by Modal's input id where the client chose none: a retried input has the same, and is the same job.

    Raises HandedBack where the worker must end first, which Modal takes for a reason to bring the input to another.
    """
    input_id = modal.current_input_id()
    dispatch = None if input_id is None else Dispatch(backend="modal", platform_job_id=_as_job_id(input_id))
    try:
        data, tenant = build_seal(Settings.from_env(os.environ)).read(data)
        request, warnings = read_request(data)
    except InvalidRequest as error:
        return failed_result(_as_job_id(input_id) if input_id else new_job_id(time.time()), error).to_wire()
    result = await gpu.run(request, on_progress, dispatch=dispatch, tenant=tenant)
    if result.error is not None and result.error.code == HandedBack.code:
        raise HandedBack(result.error.message)
    return result.model_copy(update={"warnings": (*warnings, *result.warnings)}).to_wire()


def _as_job_id(input_id: str) -> str:
    """A platform's id as a job's: Modal's has colons."""
    return "".join(letter if letter.isalnum() or letter in "_-" else "-" for letter in input_id)[:64]
