"""A job's request as it comes over HTTP: within `input` or not, by a workflow or by the name of a template."""

from __future__ import annotations

from typing import Any

from runtime.api.parts import ApiParts
from runtime.errors import InvalidRequest
from runtime.json_text import read_json
from runtime.request import JobRequest


def read_body(body: bytes) -> Any:
    """What the body holds, out of `input` where it is within that. Raises InvalidRequest where it is no JSON."""
    try:
        data = read_json(body)
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest(f"the body is not JSON: {str(exc)[:200]}") from exc
    return data["input"] if isinstance(data, dict) and set(data) == {"input"} else data


def request_of(parts: ApiParts, tenant: str, data: Any, *, idempotency_key: str | None = None) -> JobRequest:
    """The request that `data` is; `template` in a workflow's place is one of the tenant's. Reads the store for that.

    `idempotency_key` is the job's id where the request names none. Raises InvalidRequest, NotFound.
    """
    if isinstance(data, dict) and "template" in data:
        data = _filled(parts, tenant, data)
    request, _ = JobRequest.parse(data)
    if request.job_id is None and idempotency_key is not None:
        return request.model_copy(update={"job_id": idempotency_key})
    return request


def _filled(parts: ApiParts, tenant: str, data: dict[str, Any]) -> dict[str, Any]:
    name = data["template"]
    if "workflow" in data:
        raise InvalidRequest("a request has a workflow or a template, not both")
    if not isinstance(name, str):
        raise InvalidRequest(f"template is a {type(name).__name__}; expected a template's name")
    workflow = parts.templates.get(tenant, name).workflow
    return {**{field: value for field, value in data.items() if field != "template"}, "workflow": workflow}
