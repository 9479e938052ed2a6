"""What waits for a client that does not read."""

from __future__ import annotations

import asyncio
from typing import Any

from runtime.comfyui_api.connection import Connection

PREVIEW = b"x" * 100_000


class Unread:
    """A websocket whose client reads nothing until it is told to, and keeps what it got."""

    def __init__(self) -> None:
        self.reads = asyncio.Event()
        self.got: list[bytes | str] = []
        self.closed_with: int | None = None
        self.is_closed = asyncio.Event()

    async def send_bytes(self, frame: bytes) -> None:
        await self.reads.wait()
        self.got.append(frame)

    async def send_text(self, text: str) -> None:
        await self.reads.wait()
        self.got.append(text)

    async def close(self, code: int) -> None:
        self.closed_with = code
        self.is_closed.set()

    async def receive(self) -> dict[str, Any]:
        await self.is_closed.wait()
        return {"type": "websocket.disconnect"}


def told(*frames: bytes, may_drop: bool) -> Unread:
    """A client that begins to read when it was shown all the frames, and then told one thing more."""

    async def serve() -> Unread:
        websocket: Any = Unread()
        connection = Connection(websocket, "t", "c")
        serving = asyncio.create_task(connection.serve({}))
        await asyncio.sleep(0)
        for frame in frames:
            connection.show(frame, may_drop=may_drop)
        connection.tell("end", {})
        websocket.reads.set()
        while not any("end" in message for message in websocket.got if isinstance(message, str)):
            if websocket.closed_with is not None:
                break
            await asyncio.sleep(0)
        websocket.is_closed.set()
        await serving
        return websocket

    return asyncio.run(serve())


def test_previews_of_a_client_that_does_not_read_are_left_out() -> None:
    client = told(*[PREVIEW] * 900, may_drop=True)
    assert len(client.got) < 20
    assert client.closed_with is None


def test_a_client_that_reads_no_pictures_is_left_before_they_fill_the_memory() -> None:
    client = told(*[b"x" * (8 << 20)] * 20, may_drop=False)
    assert client.closed_with == 1013


def test_one_picture_is_sent_however_large_it_is() -> None:
    client = told(b"x" * (65 << 20), may_drop=False)
    assert [type(message) for message in client.got][:1] == [bytes]
