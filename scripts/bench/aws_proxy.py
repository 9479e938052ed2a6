"""A reverse proxy before a local AWS that makes it unwell: errors, throttling, answers that are lost or hang."""

from __future__ import annotations

import http.client
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_HOP = frozenset({"connection", "keep-alive", "transfer-encoding", "content-length", "expect"})


class AwsProxy(ThreadingHTTPServer):
    """Serves `upstream` on loopback; a share `rate` of the requests meets a fault, drawn from `seed`.

    `faults` counts those that were met, by name.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, upstream: str, *, rate: float, seed: int, hang_s: float) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = urlsplit(upstream).netloc
        self.rate = rate
        self.hang_s = hang_s
        self.faults: Counter[str] = Counter()
        self.requests = 0
        self.ended = threading.Event()
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def handle_error(self, request: object, client_address: object) -> None:
        """One of the two sides hung up: the other finds out by itself."""
        self.faults["hung up"] += 1

    def draw(self) -> str | None:
        """The fault of the next request; None for none."""
        with self._lock:
            self.requests += 1
            if self._random.random() >= self.rate:
                return None
            fault = self._random.choice(sorted(_FAULTS))
            self.faults[fault] += 1
            return fault


@contextmanager
def proxied(upstream: str, *, rate: float, seed: int, hang_s: float) -> Iterator[AwsProxy]:
    """A proxy that serves until the block ends."""
    with AwsProxy(upstream, rate=rate, seed=seed, hang_s=hang_s) as proxy:
        thread = threading.Thread(target=proxy.serve_forever, name="aws-proxy", daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            proxy.ended.set()
            proxy.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: AwsProxy

    def do_any(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.draw()
        if fault is None:
            self.answer(*self.forward(body))
        else:
            _FAULTS[fault](self, body)

    def __getattr__(self, name: str) -> Callable[[], None]:
        """Whatever the method is: the base class looks for do_GET, do_PUT and so on."""
        if not name.startswith("do_"):
            raise AttributeError(name)
        return self.do_any

    def forward(self, body: bytes) -> tuple[int, list[tuple[str, str]], bytes]:
        headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
        connection = http.client.HTTPConnection(self.server.upstream, timeout=60)
        try:
            connection.request(self.command, self.path, body=body, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def answer(self, status: int, headers: list[tuple[str, str]], body: bytes) -> None:
        self.send_response(status)
        length = str(len(body))
        for name, value in headers:
            if name.lower() == "content-length" and self.command == "HEAD":
                length = value
            elif name.lower() not in _HOP:
                self.send_header(name, value)
        self.send_header("Content-Length", length)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def refuse(self, status: int, code: str) -> None:
        """An error as the service of the request words it: JSON, or S3's XML."""
        if "X-Amz-Target" in self.headers:
            text = f'{{"__type": "com.amazonaws#{code}", "message": "{code}"}}'
        else:
            text = f"<Error><Code>{code}</Code><Message>{code}</Message></Error>"
        self.answer(status, [("Content-Type", "application/json")], text.encode())

    def lose(self) -> None:
        """Keep whoever asks waiting, then hang up."""
        self.server.ended.wait(self.server.hang_s)
        self.close_connection = True

    def throttle(self) -> None:
        is_s3 = "X-Amz-Target" not in self.headers
        self.refuse(*((503, "SlowDown") if is_s3 else (400, "ThrottlingException")))

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the faults are counted."""


def _lose_the_answer(handler: _Handler, body: bytes) -> None:
    handler.forward(body)
    handler.lose()


_FAULTS: dict[str, Callable[[_Handler, bytes], None]] = {
    "500": lambda handler, body: handler.refuse(500, "InternalServerError"),
    "503": lambda handler, body: handler.refuse(503, "ServiceUnavailable"),
    "throttled": lambda handler, body: handler.throttle(),
    "hung": lambda handler, body: handler.lose(),
    "done, answer lost": _lose_the_answer,
}
