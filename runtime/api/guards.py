"""What every request passes through: a bound on its body, an id, and headers that keep a browser careful."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from runtime.api.errors import TooLarge
from runtime.api.problems import MEDIA_TYPE, problem_of, status_of
from runtime.ids import new_job_id
from runtime.telemetry.context import belonging_to
from runtime.telemetry.traces import span

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from runtime.clock import Clock

REQUEST_ID = "x-request-id"

_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_SAFE = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)


class Guards:
    """An ASGI middleware. A body over its bound is refused with 413, before it is parsed or kept whole.

    `larger` has the paths that take more than `max_body_bytes`.
    """

    def __init__(self, app: ASGIApp, *, max_body_bytes: int, larger: Mapping[str, int], clock: Clock) -> None:
        self._app = app
        self._max_body_bytes = max_body_bytes
        self._larger = larger
        self._clock = clock

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        given = headers.get(REQUEST_ID.encode(), b"")
        request_id = given if _ID.fullmatch(given) else new_job_id(self._clock.wall()).encode()
        most_bytes = self._larger.get(scope["path"], self._max_body_bytes)
        began = overran = False

        async def answer(message: Message) -> None:
            nonlocal began
            if overran and not began:
                return  # whatever is said of a body that was cut off: what is wrong with it is its size
            if message["type"] == "http.response.start":
                began = True
                named = {name for name, _ in message["headers"]}
                safe = [header for header in _SAFE if header[0] not in named]
                message["headers"] = [*message["headers"], *safe, (REQUEST_ID.encode(), request_id)]
            await send(message)

        declared = headers.get(b"content-length", b"0")
        if declared.isdigit() and int(declared) > most_bytes:
            await _refuse(answer, most_bytes)
            return
        left = most_bytes

        async def bounded() -> Message:
            nonlocal left, overran
            message = await receive()
            left -= len(message.get("body", b""))
            if left < 0:
                overran = True
                raise _Overrun
            return message

        name = f"{scope['method']} request"[:40]
        above = headers.get(b"traceparent", b"").decode("latin-1") or None
        with (
            belonging_to(request_id=request_id.decode()),
            span(name, above=above, path=scope["path"][:200]),
            contextlib.suppress(_Overrun),
        ):
            await self._app(scope, bounded, answer)
        if overran and not began:
            overran = False
            await _refuse(answer, most_bytes)


async def _refuse(send: Send, most_bytes: int) -> None:
    error = TooLarge(f"the body has more than the {most_bytes} bytes that this deployment takes here")
    body = json.dumps(problem_of(error)).encode()
    headers = [(b"content-type", MEDIA_TYPE.encode()), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status_of(error), "headers": headers})
    await send({"type": "http.response.body", "body": body})


class _Overrun(Exception):
    """The body went on beyond its bound."""
