"""How fast a model comes onto the volume, beside one plain connection: `python -m scripts.bench.sync`.

The server is a process of its own on loopback. It serves one file as fast as it can, and again as object stores do:
20 ms before an answer and at most 25 MB/s on one connection.
"""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import re
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import httpx

from runtime.fetch.access import WebAccess
from runtime.models.sync.remote import SourceAccess
from runtime.models.sync.room import Room
from runtime.models.sync.syncer import Syncer, Wanted
from runtime.models.sync.volume import Volume
from scripts.bench.measure import Figure, interleaved

SIZE_BYTES = 300_000_000
_BLOCK = bytes(range(256)) * 4096
_RUNS = 3
_LATENCY_S = 0.02
_RATE = 25_000_000


def _content(start: int, end: int) -> bytes:
    """The bytes of the file from `start` to `end`, at most a block of them."""
    offset = start % len(_BLOCK)
    return _BLOCK[offset : offset + end - start]


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, limited: bool) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            found = re.search(rb"(?i)range: bytes=(\d+)-(\d+)", head)
            start, end = (int(found[1]), int(found[2]) + 1) if found else (0, SIZE_BYTES)
            await asyncio.sleep(_LATENCY_S if limited else 0)
            status = f"206 Partial\r\nContent-Range: bytes {start}-{end - 1}/{SIZE_BYTES}" if found else "200 OK"
            writer.write(f'HTTP/1.1 {status}\r\nETag: "1"\r\nContent-Length: {end - start}\r\n\r\n'.encode())
            began, first = time.perf_counter(), start
            while start < end:
                data = _content(start, end)
                writer.write(data)
                await writer.drain()
                start += len(data)
                if limited:
                    await asyncio.sleep(max(0.0, (start - first) / _RATE - (time.perf_counter() - began)))
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


def _serve(ports: Connection, limited: bool) -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda r, w: _answer(r, w, limited=limited), "127.0.0.1", 0)
        ports.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(main())


@contextmanager
def serving(*, limited: bool) -> Iterator[str]:
    """The address of a server in another process."""
    here, there = multiprocessing.get_context("spawn").Pipe()
    process = multiprocessing.get_context("spawn").Process(target=_serve, args=(there, limited), daemon=True)
    process.start()
    try:
        yield f"http://127.0.0.1:{here.recv()}/model.safetensors"
    finally:
        process.kill()
        process.join()


def plain(url: str, folder: Path) -> float:
    """Seconds of one connection into a file, hashed as it arrives."""
    began, digest = time.perf_counter(), hashlib.sha256()
    with httpx.stream("GET", url) as response, (folder / "plain").open("wb") as file:
        for chunk in response.iter_raw():
            digest.update(chunk)
            file.write(chunk)
    (folder / "plain").unlink()
    return time.perf_counter() - began


def synced(url: str, folder: Path) -> float:
    """Seconds of the syncer: ranges on eight connections, hashed, on the disk and renamed."""
    volume = Volume(folder)
    syncer = Syncer(
        volume,
        SourceAccess(web=WebAccess(allow_private=True)),
        room=Room(volume, limit_bytes=None, pinned=frozenset()),
    )
    wanted = Wanted(path="checkpoints/model.safetensors", sources=[url], sha256=_sha256())
    began = time.perf_counter()
    syncer.fetch(wanted, check=lambda: None, wait=time.sleep)
    elapsed = time.perf_counter() - began
    volume.remove(wanted.path)
    return elapsed


def _sha256() -> str:
    digest = hashlib.sha256()
    for start in range(0, SIZE_BYTES, len(_BLOCK)):
        digest.update(_content(start, SIZE_BYTES))
    return digest.hexdigest()


def figure(name: str, *, limited: bool, least: float) -> Figure:
    """How many times as fast as a plain connection the syncer is."""
    with tempfile.TemporaryDirectory() as made, serving(limited=limited) as url:
        folder = Path(made)
        commands: dict[str, Callable[[], float]] = {
            "plain": lambda: plain(url, folder),
            "synced": lambda: synced(url, folder),
        }
        seconds = {what: sorted(times)[len(times) // 2] for what, times in interleaved(commands, _RUNS).items()}
    rates = {what: SIZE_BYTES / 1e6 / taken for what, taken in seconds.items()}
    value = rates["synced"] / rates["plain"]
    beside = f"synced {rates['synced']:.0f}, plain {rates['plain']:.0f} MB/s"
    return Figure(
        name=name, value=value, unit="times", bound=f"at least {least:g}", holds=value >= least, beside=beside
    )


def main() -> int:
    """Print the figures as rows of a table."""
    figures = [
        figure("a model of 300 MB, 20 ms an answer and 25 MB/s a connection", limited=True, least=4),
        figure("the same from an unlimited server on loopback", limited=False, least=0.5),
    ]
    for each in figures:
        print(each.row())
    return 0 if all(each.holds for each in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
