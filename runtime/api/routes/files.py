"""Files that come before their job, and the links of the embedded store."""

from __future__ import annotations

import hashlib
from pathlib import PurePosixPath
from typing import Any

from fastapi import APIRouter, Request, Response, UploadFile
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from runtime.api.access import Executor, Parts, Reader
from runtime.api.errors import NotFound, TooLarge
from runtime.api.file_types import suffix_by_content
from runtime.artifacts.content_types import content_type_of
from runtime.clock import utc_text
from runtime.errors import InvalidRequest
from runtime.fetch.uploads import SCHEME, upload_key

router = APIRouter(tags=["files"])

LINK_S = 3600
_TAKEN = ("image/", "audio/", "video/")
_CHUNK_BYTES = 1 << 20


class Announced(BaseModel):
    """A file that will be uploaded."""

    model_config = ConfigDict(extra="forbid")

    filename: str = Field(min_length=1, max_length=255, examples=["a.png"], description="its suffix is what counts")
    size_bytes: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$", examples=["0" * 64])


@router.post("/files/upload", status_code=201)
def upload(file: UploadFile, parts: Parts, principal: Executor) -> dict[str, Any]:
    """Keep a file for jobs to read: `{"name": "a.png", "image": "upload:ID"}` among a request's `images`.

    The same bytes have the same id. What the file is, is told by its content, not by its name.
    """
    data = _read(file, parts.max_file_bytes)
    suffix = suffix_by_content(data)
    if suffix is None:
        raise InvalidRequest(
            f"file {(file.filename or '')[:100]!r} is no picture, sound, video or latent that is known by its content"
        )
    file_id = f"{hashlib.sha256(data).hexdigest()}{suffix}"
    parts.artifacts.put(upload_key(principal.tenant, file_id), data, content_type_of(file_id))
    return {
        "file_id": file_id,
        "image": f"{SCHEME}:{file_id}",
        "size_bytes": len(data),
        "content_type": content_type_of(file_id),
    }


@router.post("/files/presign")
def presign(body: Announced, parts: Parts, principal: Executor) -> dict[str, Any]:
    """A form to put a file straight into the bucket by: POST `upload.fields`, then the file as `file`, to `upload.url`.

    `upload` is null where the same file is there already. Another file than was announced is refused, by the bucket or
    by the job that reads it. 404 where files lie in no bucket: `/files/upload` takes them.
    """
    suffix = PurePosixPath(body.filename).suffix.lower()
    if not content_type_of(suffix and f"a{suffix}").startswith(_TAKEN) and suffix != ".latent":
        raise InvalidRequest(f"filename is {body.filename[:100]!r}; expected a picture, sound, video or latent")
    if body.size_bytes > parts.max_file_bytes:
        raise TooLarge(f"size_bytes is {body.size_bytes}; one file may have {parts.max_file_bytes}")
    file_id = f"{body.sha256}{suffix}"
    key = upload_key(principal.tenant, file_id)
    found = parts.artifacts.stat(key)
    told = {"file_id": file_id, "image": f"{SCHEME}:{file_id}"}
    if found is not None and found.size_bytes == body.size_bytes:
        return {**told, "upload": None}
    form = parts.artifacts.sign_upload(key, sha256=body.sha256, size_bytes=body.size_bytes, ttl_s=LINK_S)
    if form is None:
        raise NotFound("this deployment keeps files in no bucket: POST /files/upload takes them")
    upload = {"url": form.url, "fields": dict(form.fields), "expires_at": utc_text(form.expires_at)}
    return {**told, "upload": upload}


@router.get("/files/uploads/{file_id}")
def get_upload(file_id: str, parts: Parts, principal: Reader) -> dict[str, Any]:
    """A link to an upload of the caller's own."""
    key = upload_key(principal.tenant, file_id)
    found = parts.artifacts.stat(key)
    if found is None:
        raise NotFound(f"there is no upload {file_id[:100]!r}")
    signed = parts.artifacts.sign(key, LINK_S)
    return {
        "file_id": file_id,
        "size_bytes": found.size_bytes,
        "content_type": content_type_of(file_id),
        "url": signed.url,
        "url_expires_at": utc_text(signed.expires_at),
    }


@router.get("/files/{path:path}", include_in_schema=False)
def follow_link(path: str, parts: Parts, request: Request) -> Response:
    """What a signed link of the embedded store leads to: its signature is what allows it."""
    if parts.files is None:
        raise NotFound("this deployment's links lead to its bucket")
    target = request.url.path if request.scope.get("raw_path") is None else request.scope["raw_path"].decode("latin-1")
    query = request.scope["query_string"].decode("latin-1")
    found = parts.files.respond(request.method, f"{target}?{query}", dict(request.headers))
    return StreamingResponse(found.chunks(), status_code=found.status, headers=dict(found.headers))


def _read(file: UploadFile, most_bytes: int) -> bytes:
    pieces, size = [], 0
    while piece := file.file.read(_CHUNK_BYTES):
        size += len(piece)
        if size > most_bytes:
            raise TooLarge(
                f"file {(file.filename or '')[:100]!r} has more than the {most_bytes} bytes that one may have"
            )
        pieces.append(piece)
    return b"".join(pieces)
