"""Waiting for a job's end, for calls that answer it."""

from __future__ import annotations

import asyncio
import contextlib

from runtime.api.parts import ApiParts
from runtime.jobs.record import JobRecord


async def end_of(parts: ApiParts, record: JobRecord, wait_s: float) -> JobRecord:
    """The job when it has ended, or as it stands after `wait_s` seconds."""

    async def follow() -> None:
        async for _ in parts.events.events(record.key, after=record.revision):
            pass

    if not record.status.is_terminal:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(follow(), wait_s)
    return await asyncio.to_thread(parts.executions.find, *record.key)
