"""One websocket of a client: what is sent to it waits in a bounded queue, so that one slow client holds up nobody."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Mapping
from typing import Any

from starlette.websockets import WebSocket, WebSocketDisconnect

_MOST_WAITING = 2_000
_MOST_BYTES = 64 << 20  # of waiting frames; one more may be larger than that
_MOST_BYTES_BEFORE_PREVIEW = 1 << 20
_TOO_SLOW = 1013  # "try again later" (IANA, WebSocket close codes)


class Connection:
    """A websocket that was accepted. All calls are for the event loop's thread."""

    def __init__(self, websocket: WebSocket, tenant: str, client_id: str) -> None:
        self.tenant = tenant
        self.client_id = client_id
        self.features: Mapping[str, Any] = {}
        self._websocket = websocket
        self._waiting: asyncio.Queue[str | bytes | None] = asyncio.Queue(_MOST_WAITING)
        self._waiting_bytes = 0

    def tell(self, kind: str, data: Mapping[str, Any]) -> None:
        """Send a message, in its turn."""
        self._put(json.dumps({"type": kind, "data": data}))

    def show(self, frame: bytes, *, may_drop: bool = True) -> None:
        """Send a binary frame; `may_drop`: unless the client is so far behind that the next one will do."""
        is_behind = self._waiting.qsize() >= _MOST_WAITING // 2 or self._waiting_bytes > _MOST_BYTES_BEFORE_PREVIEW
        if not (may_drop and is_behind):
            self._put(frame)

    async def serve(self, server_features: Mapping[str, Any]) -> None:
        """Send what is told, and read what the client says of itself, until either side leaves."""
        sending = asyncio.create_task(self._send())
        try:
            await asyncio.wait(
                {sending, reading := asyncio.create_task(self._read(server_features))},
                return_when=asyncio.FIRST_COMPLETED,
            )
            reading.cancel()
        finally:
            sending.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await asyncio.gather(sending, return_exceptions=True)

    def _put(self, message: str | bytes) -> None:
        if not self._waiting.full() and not (isinstance(message, bytes) and self._waiting_bytes > _MOST_BYTES):
            self._waiting_bytes += len(message)
            self._waiting.put_nowait(message)
            return
        while not self._waiting.empty():
            self._waiting.get_nowait()
        self._waiting.put_nowait(None)

    async def _send(self) -> None:
        while (message := await self._waiting.get()) is not None:
            self._waiting_bytes -= len(message)
            if isinstance(message, str):
                await self._websocket.send_text(message)
            else:
                await self._websocket.send_bytes(message)
        await self._websocket.close(_TOO_SLOW)

    async def _read(self, server_features: Mapping[str, Any]) -> None:
        while (message := await self._websocket.receive())["type"] == "websocket.receive":
            said = _object(message.get("text"))
            if said.get("type") == "feature_flags":
                flags = said.get("data")
                self.features = flags if isinstance(flags, Mapping) else {}
                self.tell("feature_flags", server_features)


def _object(text: str | None) -> Mapping[str, Any]:
    try:
        said = json.loads(text or "{}")
    except (ValueError, RecursionError):
        return {}
    return said if isinstance(said, Mapping) else {}
