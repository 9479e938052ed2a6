"""Batches: one workflow, many sets of overrides."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Header, Request, Response
from fastapi.concurrency import run_in_threadpool

from runtime.api.access import Executor, Parts, Reader
from runtime.api.batches import Batch
from runtime.api.bodies import read_body, request_of
from runtime.api.openapi import request_body
from runtime.api.parts import ApiParts
from runtime.errors import InvalidRequest

router = APIRouter(tags=["batches"])

_EXAMPLE = {
    "workflow": {"1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "color": 0}}},
    "overrides": [{"1.color": 255}, {"1.color": 65280}],
}


@router.post(
    "/workflows/batch",
    status_code=202,
    openapi_extra=request_body("BatchRequest", _EXAMPLE),
)
async def submit(
    request: Request,
    response: Response,
    parts: Parts,
    principal: Executor,
    idempotency_key: Annotated[str | None, Header(pattern=r"^[A-Za-z0-9_-]{1,56}$")] = None,
) -> dict[str, Any]:
    """Run one workflow with each of many sets of `overrides`: a request as of execute, with a list of them.

    The jobs are `BATCH-0`, `BATCH-1`, ... in the order of the sets; `job_id`, or `Idempotency-Key`, is the batch's id.
    """
    data = read_body(await request.body())
    batch = await run_in_threadpool(_submit, parts, principal.tenant, data, idempotency_key)
    response.headers["Location"] = f"/batches/{batch.batch_id}"
    return _wire(batch)


@router.get("/batches/{batch_id}")
def get(batch_id: str, parts: Parts, principal: Reader) -> dict[str, Any]:
    """The batch as its jobs stand: `running` until the last has ended, then `completed`, or `failed` if one did not."""
    return _wire(parts.batches.find(principal.tenant, batch_id))


@router.post("/batches/{batch_id}/cancel")
def cancel(batch_id: str, parts: Parts, principal: Executor) -> dict[str, Any]:
    """Ask for the end of every job of the batch that has not ended."""
    return _wire(parts.batches.cancel(principal.tenant, batch_id))


def _submit(parts: ApiParts, tenant: str, data: Any, idempotency_key: str | None) -> Batch:
    sets = data.get("overrides") if isinstance(data, dict) else None
    if not isinstance(sets, list) or not all(isinstance(each, dict) for each in sets):
        raise InvalidRequest("overrides of a batch is to be a list of objects, one set for each job")
    request = request_of(parts, tenant, {**data, "overrides": {}}, idempotency_key=idempotency_key)
    return parts.batches.submit(tenant, request, sets)


def _wire(batch: Batch) -> dict[str, Any]:
    jobs = [{"execution_id": job.job_id, "status": job.status.value} for job in batch.jobs]
    return {
        "batch_id": batch.batch_id,
        "status": batch.status,
        "created_at": batch.created_at,
        "total": batch.total,
        "by_status": batch.by_status,
        "jobs": jobs,
    }
