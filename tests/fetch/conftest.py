"""A real HTTP server on loopback, and somewhere for what it sends to go."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from runtime.fetch.sink import ByteBudget, Sink

Route = Callable[[BaseHTTPRequestHandler], None]


class _QuietServer(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is what some tests are about."""


@contextmanager
def _serving(route: Route) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        do_GET = route  # noqa: N815  # the name that http.server looks for

        def log_message(self, *_: object) -> None:
            """Tests read what was asked for, not a log."""

    server = _QuietServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def serve() -> Iterator[Callable[[Route], str]]:
    """Answer every GET with a function of the request's handler; gives the server's address."""
    with ExitStack() as stack:
        yield lambda route: stack.enter_context(_serving(route))


@pytest.fixture
def answering(serve: Callable[[Route], str]) -> Callable[..., str]:
    """Serve one fixed answer: `answering(body, status=200, headers={})` gives its address."""

    def start(body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> str:
        def route(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(status)
            for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(body)

        return serve(route)

    return start


@pytest.fixture
def received() -> io.BytesIO:
    return io.BytesIO()


@pytest.fixture
def sink(received: io.BytesIO) -> Sink:
    return Sink(received, limit_bytes=1_000_000, budget=ByteBudget(2_000_000), check=lambda: None)
