"""What the caller's jobs came to, and how long the next one will take."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime, timezone
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request
from fastapi.concurrency import run_in_threadpool

from runtime.api.access import Advised, Parts, Reader
from runtime.api.advice import Adviser
from runtime.api.bodies import read_body, request_of
from runtime.api.openapi import request_body
from runtime.api.parts import ApiParts
from runtime.errors import InvalidRequest
from runtime.jobs.record import ANONYMOUS
from runtime.jobs.statistics import statistics_of

router = APIRouter(tags=["jobs"])

_DAY_S = 86_400


@router.get("/workflows/stats")
def stats(
    parts: Parts,
    principal: Reader,
    user_id: Annotated[str, Query(pattern=r"^[A-Za-z0-9_.@+-]{1,128}$")] = ANONYMOUS,
    since: Annotated[datetime | None, Query(description="ISO 8601; a day before `until` where it is left out")] = None,
    until: Annotated[datetime | None, Query(description="ISO 8601; now where it is left out")] = None,
) -> dict[str, Any]:
    """Counts, success rate, durations and GPU seconds of one `user_id`'s jobs that were created in a time."""
    end = parts.clock.wall() if until is None else _epoch_s(until)
    begin = end - _DAY_S if since is None else _epoch_s(since)
    if begin >= end:
        raise InvalidRequest(f"since is {since}, which is not before until, {until or 'now'}")
    found = statistics_of(parts.jobs, principal.tenant, user_id, since=begin, until=end)
    ended = sum(count for status, count in found.by_status.items() if status not in ("pending", "running"))
    completed = found.by_status.get("completed", 0)
    return {**asdict(found), "success_rate": round(completed / ended, 4) if ended else None}


@router.post("/workflows/estimate", openapi_extra=request_body("ExecuteRequest"))
async def estimate(request: Request, parts: Parts, principal: Reader, adviser: Advised) -> dict[str, Any]:
    """How long a request will take, in seconds with their spread, by the caller's last jobs like it. Nothing runs.

    `estimate` is null where there was none like it.
    """
    data = read_body(await request.body())
    return await run_in_threadpool(_estimate, parts, adviser, principal.tenant, data)


def _estimate(parts: ApiParts, adviser: Adviser, tenant: str, data: Any) -> dict[str, Any]:
    engine, found = adviser.estimate(request_of(parts, tenant, data), tenant)
    told = None if found is None else {"duration_s": asdict(found.duration_s), "gpu_seconds": asdict(found.gpu_seconds)}
    return {"engine": engine, "estimate": told}


def _epoch_s(time: datetime) -> float:
    """A time without a zone is UTC."""
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).timestamp()
