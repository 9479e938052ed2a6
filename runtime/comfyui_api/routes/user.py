"""What the web page keeps for whoever uses it: settings, saved workflows."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any
from urllib.parse import unquote

from fastapi import APIRouter, Query, Request, Response
from fastapi.concurrency import run_in_threadpool

from runtime.api.errors import Forbidden, NotFound
from runtime.artifacts.content_types import UNKNOWN, content_type_of
from runtime.comfyui_api.access import Executor, Parts, Reader
from runtime.comfyui_api.bodies import object_in, value_in
from runtime.comfyui_api.user_files import UserFile

router = APIRouter()

_STYLE = "text/css; charset=utf-8"
_HEADERS = {"Content-Security-Policy": "default-src 'none'; sandbox", "Cache-Control": "private, no-cache"}

Overwrite = Annotated[bool, Query()]
FullInfo = Annotated[bool, Query()]


@router.get("/settings")
def settings(parts: Parts, principal: Reader) -> Mapping[str, Any]:
    """All of the caller's settings."""
    return parts.settings.all(principal.tenant)


@router.get("/settings/{name}")
def setting(name: str, parts: Parts, principal: Reader) -> Any:
    """One setting; null where it was never set."""
    return parts.settings.all(principal.tenant).get(name)


@router.post("/settings")
async def change_settings(request: Request, parts: Parts, principal: Executor) -> Response:
    """Set some settings."""
    changed = object_in(await request.body())
    await run_in_threadpool(parts.settings.change, principal.tenant, changed)
    return Response()


@router.post("/settings/{name}")
async def change_setting(name: str, request: Request, parts: Parts, principal: Executor) -> Response:
    """Set one setting."""
    value = value_in(await request.body())
    await run_in_threadpool(parts.settings.change, principal.tenant, {name: value})
    return Response()


@router.get("/users")
def users(parts: Parts, principal: Reader) -> Mapping[str, Any]:
    """That the page keeps its things here, and needs to ask nobody who they are: the token says it."""
    return {"storage": "server", "migrated": True}


@router.post("/users")
def new_user(parts: Parts, principal: Executor) -> None:
    """Accounts are made by the HTTP API."""
    raise Forbidden("there are no users to choose from here: who has a token has an account (POST /auth/register)")


@router.get("/userdata")
def list_files(
    parts: Parts,
    principal: Reader,
    dir: str,
    recurse: bool = False,
    split: bool = False,
    full_info: FullInfo = False,
) -> list[Any]:
    """The files of a folder, or with `recurse` of all below it: paths, paths in parts, or all that is known."""
    found = parts.user_files.list(principal.tenant, dir)
    if not found:
        raise NotFound(f"there is no folder {dir[:100]!r}")
    chosen = [file for file in found if recurse or "/" not in file.path]
    if full_info:
        return [file.to_wire() for file in chosen]
    return [[file.path, *file.path.split("/")] if split else file.path for file in chosen]


@router.get("/v2/userdata")
def list_folder(parts: Parts, principal: Reader, path: str = "") -> list[Mapping[str, Any]]:
    """The files of a folder and its sub-folders' files, each folder named before."""
    found = parts.user_files.list(principal.tenant, path)
    if not found and path:
        raise NotFound(f"there is no folder {path[:100]!r}")
    start = PurePosixPath(path)
    folders = {str(start / parent) for file in found for parent in PurePosixPath(file.path).parents if parent.name}
    named = [{"name": PurePosixPath(folder).name, "path": folder, "type": "directory"} for folder in sorted(folders)]
    return [*named, *(_entry(start, file) for file in found)]


@router.get("/userdata/{path:path}")
def get_file(path: str, parts: Parts, principal: Reader) -> Response:
    """A file of the caller's."""
    data = parts.user_files.get(principal.tenant, path)
    known = _STYLE if path.endswith(".css") else content_type_of(path)
    headers = _HEADERS if known != UNKNOWN else {**_HEADERS, "Content-Disposition": "attachment"}
    return Response(data, media_type=known, headers=headers)


@router.post("/userdata/{path:path}")
async def put_file(
    request: Request, parts: Parts, principal: Executor, overwrite: Overwrite = True, full_info: FullInfo = False
) -> Any:
    """Keep a file, or with `/move/` between two paths give it another one."""
    path, to = _paths(request)
    files = parts.user_files
    if to is None:
        body = await request.body()
        kept = await run_in_threadpool(files.put, principal.tenant, path, body, overwrite=overwrite)
    else:
        kept = await run_in_threadpool(files.move, principal.tenant, path, to, overwrite=overwrite)
    return kept.to_wire() if full_info else kept.path


@router.delete("/userdata/{path:path}", status_code=204)
def delete_file(path: str, parts: Parts, principal: Executor) -> Response:
    """Forget a file."""
    parts.user_files.delete(principal.tenant, path)
    return Response(status_code=204)


def _paths(request: Request) -> tuple[str, str | None]:
    """The path, and the one that it is moved to: each is one segment of the URL, its slashes escaped."""
    raw: bytes = request.scope.get("raw_path") or request.scope["path"].encode()
    _, _, rest = raw.decode("latin-1").partition("?")[0].partition("/userdata/")
    path, moved, to = rest.partition("/move/")
    return (unquote(path), unquote(to)) if moved else (unquote(rest), None)


def _entry(start: PurePosixPath, file: UserFile) -> Mapping[str, Any]:
    path = start / file.path
    about = {"size": file.size_bytes, "modified": file.modified_at}
    return {"name": path.name, "path": str(path), "type": "file", **about}
