"""Two apps in one server, told apart by the port that a connection came to: they share an event loop and a life."""

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
