"""What dispatchers to other machines share: only jobs that their workers find in the stores are sent."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import httpx

from runtime.errors import InvalidRequest, StateUnavailable
from runtime.request import JobRequest

SEND_S = 15.0
"""How long a platform has to take a job, before another way is tried."""
WITHIN_S = 3_600.0
"""How long a job may wait in a platform's queue, while workers start, before it is sent again."""


def check_keeps_no_key(request: JobRequest) -> None:
    """Raises InvalidRequest for a request that brings an API key: it is never stored, and a worker reads the store."""
    if request.comfy_org_api_key is not None:
        raise InvalidRequest(
            "comfy_org_api_key is not kept, so it cannot go to a worker elsewhere: expected COMFY_ORG_API_KEY set on "
            "the workers"
        )


def post(url: str, body: Mapping[str, Any], *, what: str, mend: str, key: str | None = None) -> Any:
    """The answer to a POST with `key`, as JSON.

    Raises StateUnavailable where it was not taken, naming `what` and how to `mend`.

    A job whose answer was lost may have been taken: it is sent again, and its store lets one worker have it.
    """
    try:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        reply = httpx.post(url, json=dict(body), headers=headers, timeout=SEND_S)
    except httpx.TransportError as exc:
        raise StateUnavailable(f"{what} was not reached: {type(exc).__name__}") from exc
    if reply.status_code in (401, 403, 404):
        raise StateUnavailable(f"{what} refused the job with {reply.status_code}: {mend}")
    if reply.status_code >= 400:
        raise StateUnavailable(f"{what} did not take the job: {reply.status_code} {reply.text[:200]}")
    try:
        return reply.json()
    except ValueError as exc:
        raise StateUnavailable(f"{what} answered no JSON: expected its API there") from exc
