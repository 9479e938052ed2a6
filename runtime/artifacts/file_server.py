"""A folder's files on a port of their own: the standard library's server, a thread a connection."""

from __future__ import annotations

import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any

from runtime.artifacts.file_responder import FileResponder

_IDLE_S = 30.0
_STOPS_WITHIN_S = 0.1


class FileServer:
    """A FileResponder on a port of its own while a `with` block runs; `port` 0 takes a free one."""

    def __init__(self, responder: FileResponder, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self._server = _Server((host, port), _handler_of(responder))
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(_STOPS_WITHIN_S,), name="file-server", daemon=True
        )

    @property
    def url(self) -> str:
        host, port = self._server.server_address[:2]
        return f"http://{host!s}:{port}"

    def __enter__(self) -> FileServer:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of ours."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def _handler_of(responder: FileResponder) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version = "comfyui-serverless"
        sys_version = ""
        timeout = _IDLE_S

        def _answer(self) -> None:
            headers = {name.lower(): value for name, value in self.headers.items()}
            response = responder.respond(self.command, self.path, headers)
            self.send_response(response.status)
            for name, value in response.headers:
                self.send_header(name, value)
            self.end_headers()
            for chunk in response.chunks():
                self.wfile.write(chunk)

        do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = do_OPTIONS = _answer  # noqa: N815 - http.server's names

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: a request's line holds a link."""

    return Handler
