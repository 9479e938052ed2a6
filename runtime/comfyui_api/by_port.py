"""Two apps in one server, told apart by the port that a connection came to, or one that answers for both: one life."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


class ByPort:
    """An ASGI app: `others` by their port, and `app` for every other one. It is `app` that is begun and ended."""

    def __init__(self, app: ASGIApp, others: Mapping[int, ASGIApp]) -> None:
        self._app = app
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        _, port = scope.get("server") or ("", 0)
        await self._others.get(port or 0, self._app)(scope, receive, send)


class InPlace:
    """An ASGI app that answers as `app` and is begun and ended as `host`, whose parts `app` is made of."""

    def __init__(self, host: ASGIApp, app: ASGIApp) -> None:
        self._host = host
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await (self._host if scope["type"] == "lifespan" else self._app)(scope, receive, send)
