"""Jobs: submitted, looked at, followed, listed, cancelled, removed."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, StreamingResponse

from runtime.api.access import Executor, Parts, Reader
from runtime.api.bodies import read_body, request_of
from runtime.api.errors import ValidationFailed
from runtime.api.events import Event
from runtime.api.openapi import request_body
from runtime.api.parts import ApiParts
from runtime.api.problems import status_of_code
from runtime.api.waiting import waited_for
from runtime.graph.guide_form import is_guide_form
from runtime.jobs.record import ANONYMOUS, JobKey, JobRecord, Status
from runtime.request import JobRequest

router = APIRouter(tags=["jobs"])

LONGEST_WAIT_S = 300


@router.post(
    "/workflows/execute",
    openapi_extra=request_body("ExecuteRequest"),
)
async def execute(
    request: Request,
    parts: Parts,
    principal: Executor,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="seconds to wait for the end")] = 0,
    idempotency_key: Annotated[str | None, Header(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = None,
) -> Response:
    """Run a workflow: the fields of a request as they stand, or within `input`.

    Answers the job as it stands; with `wait`, its result if it has ended by then. `Idempotency-Key` is the job's id
    where the request names none: sent again, it is the same job.
    """
    data = read_body(await request.body())
    record, job = await run_in_threadpool(_submit, parts, principal.tenant, data, idempotency_key)
    if wait:
        record = await waited_for(parts, record, wait)
    return await run_in_threadpool(_answer, parts, record, job)


@router.get("/workflows/{execution_id}")
async def get(
    execution_id: str,
    parts: Parts,
    principal: Reader,
    wait: Annotated[float, Query(ge=0, le=LONGEST_WAIT_S, description="seconds to wait for the end, or a change")] = 0,
    after: Annotated[int | None, Query(ge=0, description="the revision that the caller has seen")] = None,
) -> dict[str, Any]:
    """The job as it stands, its links signed now. With `wait`, once it has ended; with `after` as well, once something
    of it is newer than that revision.
    """
    record = await run_in_threadpool(parts.executions.find, principal.tenant, execution_id)
    if wait:
        record = await waited_for(parts, record, wait, after=after)
    return await run_in_threadpool(_wire, parts, record)


@router.get("/workflows")
def list_jobs(
    parts: Parts,
    principal: Reader,
    user_id: Annotated[str, Query(pattern=r"^[A-Za-z0-9_.@+-]{1,128}$")] = ANONYMOUS,
    cursor: Annotated[str | None, Query(max_length=500)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    status: Annotated[Status | None, Query(description="only those of one status")] = None,
) -> dict[str, Any]:
    """The caller's jobs of one `user_id`, newest first; `cursor` is where the next page begins.

    A page of one status may be short, or empty, and yet have a `cursor`.
    """
    page = parts.executions.list(principal.tenant, user_id, cursor=cursor, limit=limit, status=status)
    jobs = [{**vars(job), "execution_id": job.job_id, "status": job.status.value} for job in page.jobs]
    return {"jobs": jobs, "cursor": page.cursor}


@router.post("/workflows/{execution_id}/cancel")
def cancel(execution_id: str, parts: Parts, principal: Executor) -> dict[str, Any]:
    """Ask for the job's end; a running one ends within a sampling step. One that has ended stays as it is."""
    return _wire(parts, parts.executions.cancel(principal.tenant, execution_id))


@router.delete("/workflows/{execution_id}")
def remove(execution_id: str, parts: Parts, principal: Executor) -> dict[str, Any]:
    """Delete an ended job: its record, its files, and the webhooks that it still owed. Its id is free then."""
    record = parts.executions.find(principal.tenant, execution_id)
    return {"execution_id": record.job_id, "deleted": parts.executions.remove(record)}


@router.delete("/workflows/{execution_id}/files")
def remove_files(execution_id: str, parts: Parts, principal: Executor) -> dict[str, Any]:
    """Delete what an ended job made. Its record stays until it expires."""
    record = parts.executions.find(principal.tenant, execution_id)
    return {"execution_id": record.job_id, "deleted": parts.executions.remove_files(record)}


@router.get("/workflows/{execution_id}/events", response_class=StreamingResponse)
async def events(
    execution_id: str,
    parts: Parts,
    principal: Reader,
    last_event_id: Annotated[int, Header(ge=0)] = 0,
) -> StreamingResponse:
    """Server-sent events until the job has ended: `status`, `progress`, `output`. `Last-Event-ID` resumes."""
    record = await run_in_threadpool(parts.executions.find, principal.tenant, execution_id)
    parts.streams.refuse_more(principal.tenant)
    stream = _held(parts, record.key, after=last_event_id)
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_lines(stream), media_type="text/event-stream", headers=headers)


def _submit(parts: ApiParts, tenant: str, data: Any, idempotency_key: str | None) -> tuple[JobRecord, JobRequest]:
    request = request_of(parts, tenant, data, idempotency_key=idempotency_key)
    nodes = request.workflow
    if nodes == {} or (isinstance(nodes, dict) and is_guide_form(nodes) and not nodes["nodes"]):
        raise ValidationFailed("the workflow has no nodes; expected at least one output node")
    return parts.executions.submit(tenant, request).record, request


def _answer(parts: ApiParts, record: JobRecord, request: JobRequest) -> Response:
    result = parts.executions.result(record, request.output)
    wire = {"execution_id": record.job_id, **result.to_wire()}
    is_failure = result.error is not None and record.status.is_terminal
    status = status_of_code(result.error.code) if result.error is not None and is_failure else 200
    return JSONResponse(wire, status_code=status, headers={"Location": f"/workflows/{record.job_id}"})


def _wire(parts: ApiParts, record: JobRecord) -> dict[str, Any]:
    result = parts.executions.result(record)
    times = {"created_at": record.created_at, "started_at": record.started_at, "finished_at": record.finished_at}
    told = {name: at for name, at in times.items() if at}
    return {"execution_id": record.job_id, "revision": record.revision, **told, **result.to_wire()}


async def _held(parts: ApiParts, key: JobKey, *, after: int) -> AsyncIterator[Event]:
    with parts.streams.held(key.tenant):
        async for event in parts.events.events(key, after=after):
            yield event


async def _lines(events: AsyncIterator[Event]) -> AsyncIterator[bytes]:
    async for event in events:
        if not event.name:
            yield b": still here\n\n"
            continue
        id = f"id: {event.id}\n" if event.id is not None else ""
        yield f"{id}event: {event.name}\ndata: {json.dumps(event.data)}\n\n".encode()
