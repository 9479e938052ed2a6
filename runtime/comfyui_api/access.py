"""Who calls: by a bearer token or an API key, or by HTTP's basic scheme, which is what browsers can ask people for."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Annotated

from fastapi import Depends
from fastapi.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection

from runtime.api.access import bearer_of, principal_of
from runtime.api.errors import Forbidden
from runtime.api.principal import Principal, Scope
from runtime.comfyui_api.parts import ComfyParts


def parts_of(connection: HTTPConnection) -> ComfyParts:
    """The parts of the app that answers."""
    parts: ComfyParts = connection.app.state.comfyui
    return parts


Parts = Annotated[ComfyParts, Depends(parts_of)]


def allowed(scope: Scope) -> Callable[..., object]:
    """A dependency: the caller, if `scope` is among theirs. Raises Unauthenticated, Forbidden, RateLimited."""

    async def check(parts: Parts, connection: HTTPConnection) -> Principal:
        return await run_in_threadpool(caller, parts, connection, scope)

    return check


def caller(parts: ComfyParts, connection: HTTPConnection, scope: Scope) -> Principal:
    """Who is at the other end, of a request or of a websocket. Raises Unauthenticated, Forbidden, RateLimited."""
    principal = principal_of(parts.api, _token(connection))
    if not principal.may(scope):
        raise Forbidden(f"this needs the scope {scope.value!r}, which the key has not")
    return principal


Reader = Annotated[Principal, Depends(allowed(Scope.READ))]
Executor = Annotated[Principal, Depends(allowed(Scope.EXECUTE))]
Manager = Annotated[Principal, Depends(allowed(Scope.MANAGE))]


def _token(connection: HTTPConnection) -> str | None:
    header = connection.headers.get("authorization", "")
    return connection.headers.get("x-api-key") or bearer_of(header) or _basic(header)


def _basic(header: str) -> str | None:
    """The password of RFC 7617's `user:password`; the user's name may be anything."""
    scheme, _, encoded = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        return base64.b64decode(encoded, validate=True).decode().partition(":")[2] or None
    except (binascii.Error, UnicodeDecodeError):
        return None
