"""A file server of many moods on loopback, and what is fetched from it."""

from __future__ import annotations

import hashlib
import random
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from runtime.models.sync.syncer import Syncer, Wanted

RANGE = 64 << 10
BODY = random.Random(1).randbytes(20 * RANGE + 777)
SHA256 = hashlib.sha256(BODY).hexdigest()
PATH = "checkpoints/a.safetensors"


class FileServer:
    """Serves `body` under every path. What is set on it changes how; `requests` has path, range and token of each."""

    def __init__(self) -> None:
        self.body = BODY
        self.etag: str | None = '"one"'
        self.ranges = True
        self.statuses: list[int] = []
        """What the next requests are answered with, before any is served."""
        self.cut_after: int | None = None
        """How many bytes of a body of more than one byte are sent before the connection breaks, once for each."""
        self.cuts = 0
        self.redirect: Callable[[str], str | None] = lambda path: None
        self.headers: dict[str, str] = {}
        self.on_body: Callable[[], None] = lambda: None
        self.requests: list[tuple[str, str | None, str | None]] = []
        self.url = ""
        self._lock = threading.Lock()

    @property
    def ranged(self) -> list[str]:
        """The ranges of content that were asked for, the first look apart."""
        return [wanted for _, wanted, _ in self.requests if wanted not in (None, "bytes=0-0")]

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        wanted = handler.headers.get("Range")
        with self._lock:
            self.requests.append((handler.path, wanted, handler.headers.get("Authorization")))
            status = self.statuses.pop(0) if self.statuses else None
        if location := self.redirect(handler.path):
            self._send(handler, 302, b"", {"Location": location})
        elif status is not None:
            self._send(handler, status, b"no", {"Retry-After": "0"})
        else:
            self._serve(handler, wanted)

    def _serve(self, handler: BaseHTTPRequestHandler, wanted: str | None) -> None:
        headers = {**({"ETag": self.etag} if self.etag else {}), **self.headers}
        found = re.fullmatch(r"bytes=(\d+)-(\d+)", wanted or "")
        if not self.ranges or not found:
            self._send(handler, 200, self.body, headers)
            return
        start, end = int(found[1]), min(int(found[2]) + 1, len(self.body))
        headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(self.body)}"
        self._send(handler, 206, self.body[start:end], headers)

    def _send(self, handler: BaseHTTPRequestHandler, status: int, data: bytes, headers: dict[str, str]) -> None:
        handler.send_response(status)
        for name, value in {"Content-Length": str(len(data)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        if len(data) > 1:
            self.on_body()
        if self.cut_after is not None and len(data) > self.cut_after:
            with self._lock:
                self.cuts += 1
            data = data[: self.cut_after]
            handler.close_connection = True
        handler.wfile.write(data)


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is what some tests are about."""


@contextmanager
def running(server: FileServer) -> Iterator[FileServer]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            server.answer(self)

        def log_message(self, *_: object) -> None:
            """Tests read `requests`."""

    listener = _QuietServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=listener.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        server.url = f"http://127.0.0.1:{listener.server_port}"
        yield server
    finally:
        listener.shutdown()
        thread.join()
        listener.server_close()


def wanted(*sources: str, path: str = PATH, sha256: str | None = SHA256, **further: Any) -> Wanted:
    return Wanted(path=path, sources=sources, sha256=sha256, **{"size_bytes": len(BODY), **further})


def fetch(syncer: Syncer, what: Wanted, **further: Any) -> bool:
    return syncer.fetch(what, **{"check": lambda: None, "wait": time.sleep, **further})
