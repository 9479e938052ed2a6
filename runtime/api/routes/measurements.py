"""What this instance measures, for Prometheus."""

from __future__ import annotations

import hmac

from fastapi import APIRouter, Request, Response

from runtime.api.access import Parts, bearer_of
from runtime.api.errors import NotFound, Unauthenticated

router = APIRouter(tags=["health"])


@router.get("/metrics", response_class=Response)
def metrics(parts: Parts, request: Request) -> Response:
    """Jobs, their times, caches, GPU memory and HTTP, of this instance and of every account together.

    Where the deployment asks for tokens it is METRICS_TOKEN that opens this, and no account's.
    """
    if parts.prometheus is None:
        raise NotFound("this deployment does not measure (ENABLE_METRICS)")
    if parts.accounts is not None:
        given = bearer_of(request.headers.get("authorization", "")) or ""
        if not parts.metrics_token or not hmac.compare_digest(parts.metrics_token.encode(), given.encode()):
            raise Unauthenticated("expected a header `Authorization: Bearer METRICS_TOKEN`, the deployment's own")
    text, content_type = parts.prometheus.text()
    return Response(text, headers={"Content-Type": content_type})
