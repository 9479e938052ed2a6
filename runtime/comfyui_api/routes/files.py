"""Files: looked at by ComfyUI's three names, uploaded as inputs, masks painted onto them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request, Response, UploadFile

from runtime.api.errors import NotFound
from runtime.artifacts.byte_range import Unsatisfiable, parse_range
from runtime.artifacts.content_types import UNKNOWN, content_type_of
from runtime.artifacts.store import content_disposition
from runtime.comfyui_api.access import Executor, Parts, Reader
from runtime.comfyui_api.names import FileName, find_output
from runtime.comfyui_api.parts import ComfyParts
from runtime.comfyui_api.pictures import channel_of, smaller, with_alpha_of
from runtime.errors import InvalidRequest
from runtime.file_names import safe_name
from runtime.json_text import read_json

router = APIRouter()

_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; sandbox",  # whatever a file holds, it shall run nothing
    "Cache-Control": "private, no-cache",
    "Accept-Ranges": "bytes",
}


@router.get("/view")
@router.head("/view")
def view(
    request: Request,
    parts: Parts,
    principal: Reader,
    filename: str,
    subfolder: str = "",
    type: str = "output",
    preview: str | None = None,
    channel: Literal["rgba", "rgb", "a"] = "rgba",
) -> Response:
    """A file of a job, or one that was uploaded."""
    name = FileName.parse(filename, subfolder, type)
    safe_name(name.path)
    data, content_type = _read(parts, principal.tenant, name)
    if content_type.startswith("image/") and preview is not None:
        data, content_type = smaller(data, preview)
    elif content_type.startswith("image/") and channel != "rgba":
        data, content_type = channel_of(data, channel)
    shown_as = name.filename if content_type == content_type_of(name.filename) else f"{name.filename}.bin"
    headers = {**_HEADERS, "Content-Disposition": content_disposition(name.filename)}
    if content_type == UNKNOWN:
        headers["Content-Disposition"] = content_disposition(shown_as)
    return _part(data, content_type, headers, request.headers.get("range"))


@router.post("/upload/image")
def upload_image(
    parts: Parts,
    principal: Executor,
    image: UploadFile,
    subfolder: Annotated[str, Form()] = "",
    type: Annotated[str, Form()] = "input",
    overwrite: Annotated[str, Form()] = "",
) -> dict[str, Any]:
    """Keep a file under its name; prompts name it in an input."""
    name = _upload_name(image, subfolder, type)
    data = image.file.read()
    kept = parts.files.put(principal.tenant, name, data, overwrite=overwrite in ("true", "1"))
    return _kept(kept)


@router.post("/upload/mask")
def upload_mask(
    parts: Parts,
    principal: Executor,
    image: UploadFile,
    original_ref: Annotated[str, Form()],
    subfolder: Annotated[str, Form()] = "",
    type: Annotated[str, Form()] = "input",
    overwrite: Annotated[str, Form()] = "",
) -> dict[str, Any]:
    """Keep the picture that `original_ref` names, with the alpha of the one that is sent."""
    name = _upload_name(image, subfolder, type)
    original, _ = _read(parts, principal.tenant, _reference(original_ref))
    data = with_alpha_of(original, image.file.read())
    kept = parts.files.put(principal.tenant, name, data, overwrite=overwrite in ("true", "1"))
    return _kept(kept)


def _read(parts: ComfyParts, tenant: str, name: FileName) -> tuple[bytes, str]:
    """The file's bytes and type. Raises NotFound, for another tenant's as for none."""
    uploaded = parts.files.read(tenant, name)
    if uploaded is not None:
        return uploaded
    record = parts.api.jobs.get(tenant, name.job_id) if name.job_id else None
    output = find_output(record, name) if record is not None else None
    data = parts.api.artifacts.get(output.key) if output is not None else None
    if output is None or data is None:
        raise NotFound(f"there is no file {name}")
    return data, content_type_of(output.filename)


def _upload_name(file: UploadFile, subfolder: str, folder: str) -> FileName:
    if not file.filename:
        raise InvalidRequest("the file that is uploaded has no name")
    return FileName.parse(file.filename, subfolder, folder)


def _reference(text: str) -> FileName:
    try:
        told = read_json(text)
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest("original_ref is not JSON") from exc
    if not isinstance(told, dict) or not isinstance(told.get("filename"), str):
        raise InvalidRequest('original_ref is no {"filename", "subfolder", "type"}')
    name = FileName.parse(told["filename"], str(told.get("subfolder") or ""), str(told.get("type") or "output"))
    safe_name(name.path)
    return name


def _kept(name: FileName) -> dict[str, str]:
    return {"name": name.filename, "subfolder": name.subfolder, "type": name.folder}


def _part(data: bytes, content_type: str, headers: dict[str, str], asked: str | None) -> Response:
    """The file, or the part of it that a player asks for."""
    try:
        part = parse_range(asked, len(data))
    except Unsatisfiable:
        return Response(status_code=416, headers={"Content-Range": f"bytes */{len(data)}"})
    if part is None:
        return Response(data, media_type=content_type, headers=headers)
    end = part.start + part.length
    ranged = {**headers, "Content-Range": f"bytes {part.start}-{end - 1}/{len(data)}"}
    return Response(data[part.start : end], status_code=206, media_type=content_type, headers=ranged)
