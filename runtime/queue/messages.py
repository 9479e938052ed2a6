"""What a message of the queue says: a request, or where one lies that is too large for it."""

from __future__ import annotations

import json
from typing import Any

from runtime.errors import InvalidRequest
from runtime.reference import RequestReference, read_request
from runtime.request import JobRequest

LARGEST_BYTES = 200_000
"""A request beyond this goes by its id: SQS takes 1 MiB since 2025, older queues and stand-ins 256 KiB."""


def write_message(request: JobRequest, job_id: str) -> str:
    """The body by which a stored job travels: its request, or its id alone where that is too large."""
    body = f'{{"input": {request.model_copy(update={"job_id": job_id}).to_text()}}}'
    return body if len(body.encode()) <= LARGEST_BYTES else json.dumps({"input": {"job_id": job_id}})


def read_message(body: str) -> JobRequest | RequestReference:
    """What a body asks for: `{"input": request}`, or the request itself. Raises InvalidRequest."""
    try:
        document: Any = json.loads(body)
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest(f"the message is no JSON: {str(exc)[:200]}") from exc
    if not isinstance(document, dict):
        raise InvalidRequest(f"the message is a {type(document).__name__}; expected an object with input")
    request, _ = read_request(document["input"] if document.keys() == {"input"} else document)
    return request
