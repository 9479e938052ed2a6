"""Errors as HTTP answers: problem details (RFC 9457) with our code, and the status that fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.api.errors import RateLimited, ValidationFailed
from runtime.errors import ServerlessError

MEDIA_TYPE = "application/problem+json"

_RETRY_AFTER_S = 5

_STATUS: Mapping[str, int] = {
    "validation_failed": 400,
    "invalid_request": 422,
    "graph_rejected": 422,
    "unknown_node": 422,
    "model_missing": 422,
    "model_corrupt": 422,
    "model_unsafe": 422,
    "input_unreachable": 422,
    "input_rejected": 422,
    "unauthenticated": 401,
    "forbidden": 403,
    "not_found": 404,
    "conflict": 409,
    "job_id_taken": 409,
    "cancelled": 409,
    "too_large": 413,
    "rate_limited": 429,
    "storage_unavailable": 503,
    "state_unavailable": 503,
}
"""Every code that is not here is 500: nobody who asked has done anything wrong."""


def status_of(error: ServerlessError) -> int:
    """The HTTP status of an error."""
    return status_of_code(error.code)


def status_of_code(code: str) -> int:
    """The HTTP status of a job that ended by an error with this code."""
    return _STATUS.get(code, 500)


def problem_of(error: ServerlessError) -> dict[str, Any]:
    """The body: `detail` is for people, `code` for programs; `node_errors` as ComfyUI has them."""
    status = status_of(error)
    validation = f"workflow validation failed: {error.message}" if isinstance(error, ValidationFailed) else None
    more = {"error": validation, "node_id": error.node_id, "node_errors": error.node_errors}
    return {
        "type": "about:blank",
        "title": error.code.replace("_", " "),
        "status": status,
        "detail": error.message,
        "code": error.code,
        "retryable": error.retryable,
        **{name: value for name, value in more.items() if value},
    }


def headers_of(error: ServerlessError) -> dict[str, str]:
    """What a client needs to know beside the body: how to log in, when to ask again."""
    status = status_of(error)
    if status == 401:
        return {"WWW-Authenticate": "Bearer"}
    if isinstance(error, RateLimited):
        return {"Retry-After": str(error.retry_after_s)}
    return {"Retry-After": str(_RETRY_AFTER_S)} if status == 503 else {}
