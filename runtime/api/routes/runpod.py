"""RunPod's own API, so that its clients work against a desk or a cluster unchanged."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Query
from fastapi.concurrency import run_in_threadpool

from runtime.api.access import Executor, Parts, Reader
from runtime.api.parts import ApiParts
from runtime.api.waiting import waited_for
from runtime.documents.store import ABSENT
from runtime.jobs.record import JobRecord, Status
from runtime.request import JobRequest

router = APIRouter(prefix="/v2/{endpoint}", tags=["runpod"])

SYNC_WAIT_S = 90.0
"""How long `/runsync` waits, as RunPod's does."""

_STREAMED_S = 31 * 86_400  # longer than any job is remembered

_STATUS = {
    Status.PENDING: "IN_QUEUE",
    Status.RUNNING: "IN_PROGRESS",
    Status.COMPLETED: "COMPLETED",
    Status.FAILED: "FAILED",
    Status.TIMED_OUT: "TIMED_OUT",
    Status.CANCELLED: "CANCELLED",
}

Call = Annotated[dict[str, Any], Body(examples=[{"input": {"workflow": {}}}])]


@router.post("/run")
async def run(endpoint: str, call: Call, parts: Parts, principal: Executor) -> dict[str, Any]:
    """Queue a job; answers its id."""
    record = await run_in_threadpool(_submit, parts, principal.tenant, call)
    return {"id": record.job_id, "status": _STATUS[record.status]}


@router.post("/runsync")
async def runsync(
    endpoint: str,
    call: Call,
    parts: Parts,
    principal: Executor,
    wait: Annotated[int, Query(ge=1000, le=300_000, description="milliseconds")] = int(SYNC_WAIT_S * 1000),
) -> dict[str, Any]:
    """Queue a job and wait for its end, at most `wait` milliseconds."""
    record = await run_in_threadpool(_submit, parts, principal.tenant, call)
    record = await waited_for(parts, record, wait / 1000)
    return await run_in_threadpool(_state, parts, record)


@router.get("/status/{job_id}")
@router.post("/status/{job_id}", include_in_schema=False)
def status(endpoint: str, job_id: str, parts: Parts, principal: Reader) -> dict[str, Any]:
    """The job as RunPod tells it: its state, and its output once it has one."""
    return _state(parts, parts.executions.find(principal.tenant, job_id))


@router.get("/stream/{job_id}")
@router.post("/stream/{job_id}", include_in_schema=False)
def stream(endpoint: str, job_id: str, parts: Parts, principal: Reader) -> dict[str, Any]:
    """The state, with the output as a stream of one piece: our jobs give theirs at their end.

    As RunPod's, a piece is given once: its clients read until a job has ended and nothing comes any more.
    """
    record = parts.executions.find(principal.tenant, job_id)
    state = _state(parts, record)
    is_given = state["status"] == "COMPLETED" and _first_time(parts, record)
    return {"id": state["id"], "status": state["status"], "stream": [{"output": state["output"]}] if is_given else []}


@router.post("/cancel/{job_id}")
def cancel(endpoint: str, job_id: str, parts: Parts, principal: Executor) -> dict[str, Any]:
    """Ask for the job's end."""
    record = parts.executions.cancel(principal.tenant, job_id)
    return {"id": record.job_id, "status": "CANCELLED" if record.cancel_requested else _STATUS[record.status]}


@router.get("/health")
def health(endpoint: str, parts: Parts, principal: Reader) -> dict[str, Any]:
    """How many jobs wait here, in the form of RunPod's."""
    waiting = parts.depth() if parts.depth is not None else 0
    return {"jobs": {"inQueue": waiting}, "workers": {"ready": 1 if parts.depth is not None else 0}}


def _submit(parts: ApiParts, tenant: str, call: dict[str, Any]) -> JobRecord:
    request, _ = JobRequest.parse(call.get("input"), strict=False)
    return parts.executions.submit(tenant, request).record


def _first_time(parts: ApiParts, record: JobRecord) -> bool:
    """Whether nobody has read the job's stream to its end yet; an id that was freed may name another job since."""
    name = f"{record.job_id} {record.created_at}"
    expires_at = int(parts.clock.wall()) + _STREAMED_S
    return parts.documents.put(f"streamed {record.tenant}", name, {}, over=ABSENT, expires_at=expires_at) is not None


def _state(parts: ApiParts, record: JobRecord) -> dict[str, Any]:
    wire = parts.executions.result(record).to_wire()
    state: dict[str, Any] = {"id": record.job_id, "status": _STATUS[record.status]}
    error = wire.pop("error", None)
    if record.status is Status.RUNNING:
        return {**state, "output": record.progress.to_wire()} if record.progress else state
    if record.status is Status.PENDING:
        return state
    if error is not None:
        return {**state, "error": f"{error['code']}: {error['message']}", "output": {**wire, "error_detail": error}}
    times = record.timings_ms
    return {**state, "output": wire, "executionTime": round(times.total) if times else 0}
