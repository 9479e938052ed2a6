"""What a job is known by, from the request that asks for it."""

from __future__ import annotations

from runtime.canonical import request_sha256, sha256_of_json
from runtime.errors import InvalidRequest
from runtime.jobs.record import Dispatch, JobFacts, Origin, WebhookTarget
from runtime.request import JobRequest
from runtime.request_size import refuse_large
from runtime.telemetry.context import fields_now
from runtime.telemetry.traces import traceparent


def facts_of(
    request: JobRequest,
    *,
    tenant: str,
    job_id: str,
    dispatch: Dispatch | None,
    max_bytes: int,
    webhook: WebhookTarget | None,
    batch_id: str | None = None,
) -> JobFacts:
    """The job that `request` asks for. Raises InvalidRequest for one that is too large or no plain JSON."""
    try:
        refuse_large(request, max_bytes)
        workflow_sha256 = sha256_of_json(request.workflow)
        request_hash = request_sha256(request, workflow_sha256)
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidRequest(f"the request is no plain JSON: {exc}") from exc
    return JobFacts(
        tenant=tenant,
        job_id=job_id,
        request_sha256=request_hash,
        workflow_sha256=workflow_sha256,
        user_id=request.user_id,
        batch_id=batch_id,
        dispatch=dispatch,
        origin=_origin(),
        webhook=webhook,
        max_attempts=request.max_attempts,
        ttl_s=request.ttl_s,
    )


def _origin() -> Origin | None:
    """What the calling context is at work for; None where that is nothing."""
    request_id, above = fields_now().get("request_id"), traceparent()
    return None if request_id is None and above is None else Origin(request_id=request_id, traceparent=above)
