"""Whom the jobs of the chaos run tell of their ends: it verifies what it hears, and refuses some of it."""

from __future__ import annotations

import json
import random
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SECRET = "whsec_Y2hhb3MtY2hhb3MtY2hhb3MtY2hhb3Mt"


class Receiver(ThreadingHTTPServer):
    """`heard` is the status of each job by its id as it was last told, `forged` counts signatures that do not hold."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, *, refuses: float, seed: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: dict[str, str] = {}
        self.calls = 0
        self.refused = 0
        self.forged = 0
        self._refuses = refuses
        self._random = random.Random(seed)
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/hook"

    def handle_error(self, request: object, client_address: object) -> None:
        """A worker that was killed in the middle of its call."""

    def take(self, message_id: str, timestamp: int, signature: str, body: str) -> int:
        """The status that a message is answered with."""
        with self._lock:
            self.calls += 1
            if not _is_genuine(message_id, timestamp, signature, body):
                self.forged += 1
                return 401
            if self._random.random() < self._refuses:
                self.refused += 1
                return 503
            data = json.loads(body)["data"]
            self.heard[data["job_id"]] = data["status"]
            return 204


@contextmanager
def receiving(*, refuses: float, seed: int) -> Iterator[Receiver]:
    """A receiver that listens until the block ends; a share `refuses` of the messages is answered 503."""
    with Receiver(refuses=refuses, seed=seed) as receiver:
        thread = threading.Thread(target=receiver.serve_forever, name="receiver", daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            receiver.shutdown()
            thread.join()


def _is_genuine(message_id: str, timestamp: int, signature: str, body: str) -> bool:
    """By the scheme's own package; its check of the time would not hold where time passes faster."""
    from standardwebhooks import Webhook

    expected = Webhook(SECRET).sign(message_id, datetime.fromtimestamp(timestamp, timezone.utc), body)
    return signature == expected


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        headers = (
            self.headers["webhook-id"],
            int(self.headers["webhook-timestamp"]),
            self.headers["webhook-signature"],
        )
        self.send_response(self.server.take(*headers, body))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the calls are counted."""
