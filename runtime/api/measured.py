"""Every request, counted and timed by its route."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.clock import Clock
from runtime.telemetry.metrics import HTTP_REQUESTS, HTTP_S, Recorder

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class Measured:
    """An ASGI middleware. A route is told as it is declared, so that no id becomes a label."""

    def __init__(self, app: ASGIApp, *, recorder: Recorder, clock: Clock) -> None:
        self._app = app
        self._recorder = recorder
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = self._clock.monotonic()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._record(scope, message["status"], self._clock.monotonic() - began)
            await send(message)

        await self._app(scope, receive, answer)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        method = scope["method"] if scope["method"] in _METHODS else "other"
        route = getattr(scope.get("route"), "path", "none")
        self._recorder.add(HTTP_REQUESTS, labels=(method, route, str(status)))
        self._recorder.observe(HTTP_S, seconds, labels=(method, route))
