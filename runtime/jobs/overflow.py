"""What is too large for a DynamoDB item and goes to the artifact store: the item keeps the key."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Protocol

from runtime.errors import StateUnavailable
from runtime.jobs.codec import Document
from runtime.jobs.record import JobKey
from runtime.request_size import exceeds

INLINE_TEXT_BYTES = 100_000
INLINE_ENTRIES = 50
INLINE_DETAIL_CHARACTERS = 20_000
"""Of one field: a record has a dozen that may grow, and an item at most 400 kB, in UTF-8."""
DETAILS = "details_key"
REQUEST = "request_key"

_JSON = "application/json"


class Blobs(Protocol):
    """The part of an ArtifactStore that an overflow needs."""

    def put(self, key: str, data: bytes, content_type: str) -> None: ...

    def get(self, key: str) -> bytes | None: ...


def put_request(key: JobKey, request: str, blobs: Blobs | None) -> Document:
    """What an item holds of a job's request: the text, or the key that it was put under for its size.

    The key holds the request's own sum: another request under the id, which the item refuses, writes over nothing.
    """
    data = request.encode()
    if blobs is None or len(data) <= INLINE_TEXT_BYTES:
        return {"request": request}
    blob = f"requests/{key.tenant}/{key.job_id}/{hashlib.sha256(data).hexdigest()[:16]}.json"
    blobs.put(blob, data, _JSON)
    return {REQUEST: blob}


def get_request(document: Mapping[str, Any], blobs: Blobs | None) -> str | None:
    """The request of an item that `put_request` made part of."""
    if REQUEST in document:
        return _fetch(document[REQUEST], blobs).decode()
    request: str | None = document.get("request")
    return request


def put_details(document: Document, blobs: Blobs | None) -> Document:
    """`document` without what is too large, and with the key that this was put under, if there is any.

    The key holds the fencing token: a worker that lost its lease writes beside the winner's, never over it.
    """
    large = {name: value for name, value in document.items() if _is_large(value)}
    if blobs is None or not large:
        return document
    blob = f"details/{document['tenant']}/{document['job_id']}/{document['fencing_token']}.json"
    blobs.put(blob, json.dumps(large).encode(), _JSON)
    return {**{name: value for name, value in document.items() if name not in large}, DETAILS: blob}


def get_details(document: Document, blobs: Blobs | None) -> Document:
    """`document` whole again."""
    if DETAILS not in document:
        return document
    return {**document, **json.loads(_fetch(document[DETAILS], blobs))}


def _is_large(value: Any) -> bool:
    return _is_long(value) or exceeds(value, INLINE_DETAIL_CHARACTERS)


def _is_long(value: Any) -> bool:
    """Whether a list or an object, or one inside it, has many entries."""
    if not isinstance(value, Mapping | list):
        return False
    items = value.values() if isinstance(value, Mapping) else value
    return len(value) > INLINE_ENTRIES or any(map(_is_long, items))


def _fetch(key: str, blobs: Blobs | None) -> bytes:
    data = blobs.get(key) if blobs else None
    if data is None:
        raise StateUnavailable(f"part of a job's record is not in the artifact store, expected under {key!r}")
    return data
