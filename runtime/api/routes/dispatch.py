"""What a peer calls whose jobs run here: `runtime.api.dispatch.http` is the other side."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body

from runtime.api.access import Parts
from runtime.errors import InvalidRequest
from runtime.jobs.record import JobKey

router = APIRouter(tags=["dispatch"], include_in_schema=False)


@router.post("/dispatch")
def dispatch(call: Annotated[dict[str, Any], Body()], parts: Parts) -> dict[str, str]:
    """Run a job that is in the shared store. Its proof is the credential; without a secret it is of our own tenant."""
    data, tenant = parts.seal.read(call)
    if tenant is None and parts.accounts is not None:
        raise InvalidRequest("the job has no proof: expected one by this deployment's SECRET_KEY")
    record = parts.executions.take(JobKey(tenant or parts.tenant, str(data.get("job_id"))))
    return {"job_id": record.job_id, "status": record.status.value}
