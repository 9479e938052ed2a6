"""The hash that decides whether two requests are the same job."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from runtime.request import JobRequest

_NOT_THE_JOB = {"webhook", "images", "output", "job_id", "workflow", "previews"}


def request_sha256(request: JobRequest, workflow_sha256: str) -> str:
    """The SHA-256 of the request without what may differ between deliveries of one job.

    Left out are the webhook, whether previews are shown, how outputs are delivered, and the query of a URL (a
    presigned one changes).
    """
    facts = request.model_dump(mode="json", exclude=_NOT_THE_JOB)
    facts["images"] = [[image.name, _content(image.image)] for image in request.images]
    facts["output"] = [request.output.format, request.output.quality]
    facts["workflow"] = workflow_sha256
    return sha256_of_json(facts)


def sha256_of_json(value: Any) -> str:
    """The SHA-256 of a JSON value, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _content(image: str) -> str:
    is_address = image[:8].lower().startswith(("http://", "https://", "s3://"))
    stable = image.partition("?")[0] if is_address else image
    return hashlib.sha256(stable.encode(errors="surrogatepass")).hexdigest()
