"""Waiting for what becomes of a job, for calls that answer it."""

from __future__ import annotations

import asyncio
import contextlib

from runtime.api.parts import ApiParts
from runtime.jobs.record import JobRecord


async def waited_for(parts: ApiParts, record: JobRecord, wait_s: float, *, after: int | None = None) -> JobRecord:
    """The job once it has ended, or with `after` once its revision is above that; as it stands after `wait_s` s.

    At once where the tenant has as many connections held open as it may.
    """

    async def follow() -> None:
        async for event in parts.events.events(record.key, after=record.revision if after is None else after):
            if after is not None and event.id is not None:
                return

    if record.status.is_terminal or (after is not None and record.revision > after):
        return record
    if parts.streams.is_full(record.tenant):
        return record
    with parts.streams.held(record.tenant), contextlib.suppress(asyncio.TimeoutError):
        await asyncio.wait_for(follow(), wait_s)
    return await asyncio.to_thread(parts.executions.find, *record.key)
