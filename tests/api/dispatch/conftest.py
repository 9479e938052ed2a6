"""Shared stores on moto, and servers on loopback: what dispatchers to other machines need."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import boto3
import pytest
import uvicorn
from moto import mock_aws

from runtime.api.build import build_api
from runtime.documents import table as documents
from runtime.jobs.table import create_table
from runtime.settings import Settings

REGION = "eu-west-1"
SECRET_KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Variables that name a table, a table of documents and a bucket, all of them there."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    with mock_aws():
        client = boto3.client("dynamodb", region_name=REGION)
        create_table(client, "jobs")
        client.create_table(TableName="documents", **documents.TABLE)
        boto3.client("s3", region_name=REGION).create_bucket(
            Bucket="pictures", CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield {
            "AWS_REGION": REGION,
            "DYNAMODB_TABLE": "jobs",
            "DYNAMODB_DOCUMENTS_TABLE": "documents",
            "S3_BUCKET": "pictures",
            "SECRET_KEY": SECRET_KEY,
            "DEVICE": "cpu",
        }


@contextmanager
def _listening(app: Any) -> Iterator[str]:
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture
def served(shared: dict[str, str]) -> Iterator[Callable[..., str]]:
    """`served(NAME=value, ...)`: the address of an API over the shared stores; DISPATCH is local unless it is said."""
    with ExitStack() as life:
        yield lambda **env: life.enter_context(_listening(build_api(Settings.from_env({**shared, **env}))))


class Platform:
    """A server that answers what `answer` says to a path and a body; None for no answer at all."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, bytes]] = []
        self.keys: set[str | None] = set()
        self.answer: Callable[[str, bytes], tuple[int, bytes] | None] = lambda path, body: (200, b'{"id": "rp-1"}')
        platform = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                platform.asked.append((self.path, body))
                platform.keys.add(self.headers.get("Authorization"))
                told = platform.answer(self.path, body)
                if told is None:
                    self.close_connection = True
                    return
                self.send_response(told[0])
                self.send_header("Content-Length", str(len(told[1])))
                self.end_headers()
                self.wfile.write(told[1])

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"


@pytest.fixture
def platform() -> Iterator[Platform]:
    platform = Platform()
    thread = threading.Thread(target=platform.server.serve_forever, daemon=True)
    thread.start()
    yield platform
    platform.server.shutdown()
    thread.join()
    platform.server.server_close()
