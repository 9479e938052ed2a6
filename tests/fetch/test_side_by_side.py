from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import boto3
import pytest
from moto import mock_aws

from runtime.cancellation import CancelFlag
from runtime.errors import Cancelled, InputRejected, InputUnreachable
from runtime.fetch.access import S3Access, WebAccess
from runtime.inputs import InputLimits, fetch_inputs
from runtime.workspace import Workspace

Route = Callable[[BaseHTTPRequestHandler], None]
LOCAL = WebAccess(allow_private=True)


@dataclass(frozen=True)
class Entry:
    name: str
    image: str


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with Workspace(root=tmp_path) as made:
        yield made


def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body)


def test_addresses_and_base64_come_together(serve: Callable[[Route], str], workspace: Workspace) -> None:
    base = serve(lambda handler: answer(handler, handler.path.encode()))
    images = [Entry("a", f" {base}/1 "), Entry("b", "YWJj"), Entry("c", f"{base}/2".replace("http", "HTTP"))]
    fetch_inputs(images, workspace, cancel=CancelFlag(), web=LOCAL)
    assert [workspace.input_path(name).read_bytes() for name in "abc"] == [b"/1", b"abc", b"/2"]


def test_several_addresses_are_fetched_at_the_same_time(serve: Callable[[Route], str], workspace: Workspace) -> None:
    together = threading.Barrier(3, timeout=10)

    def route(handler: BaseHTTPRequestHandler) -> None:
        together.wait()
        answer(handler, b"x")

    base = serve(route)
    fetch_inputs([Entry(name, base) for name in "abc"], workspace, cancel=CancelFlag(), web=LOCAL)
    assert not together.broken


def test_the_first_failure_ends_the_others_and_is_the_one_told(
    serve: Callable[[Route], str], workspace: Workspace
) -> None:
    waiting, end = threading.Event(), threading.Event()

    def route(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/slow":
            waiting.set()
            end.wait(20)
        else:
            waiting.wait(20)
            handler.send_error(404)

    base = serve(route)
    try:
        with pytest.raises(InputUnreachable, match=r"^images\[1\] 'b': http://.*/gone answered 404"):
            fetch_inputs(
                [Entry("a", f"{base}/slow"), Entry("b", f"{base}/gone")], workspace, cancel=CancelFlag(), web=LOCAL
            )
        assert not end.is_set()
    finally:
        end.set()


def test_a_cancel_ends_a_transfer_that_is_under_way(serve: Callable[[Route], str], workspace: Workspace) -> None:
    cancel, end = CancelFlag(), threading.Event()

    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"begun")
        cancel.set()
        end.wait(20)

    try:
        with pytest.raises(Cancelled):
            fetch_inputs([Entry("a", serve(route))], workspace, cancel=cancel, web=LOCAL)
    finally:
        end.set()


def test_a_transfer_that_drips_ends_at_its_time_limit(serve: Callable[[Route], str], workspace: Workspace) -> None:
    end = threading.Event()

    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not end.wait(0.02):
            handler.wfile.write(b"x")

    limits = InputLimits(transfer_timeout_s=0.3)
    try:
        with pytest.raises(InputUnreachable, match=r"images\[0\] 'a': it was not whole after 0\.3 s"):
            fetch_inputs([Entry("a", serve(route))], workspace, cancel=CancelFlag(), limits=limits, web=LOCAL)
    finally:
        end.set()


def test_a_loopback_address_is_refused_unless_the_deployment_allows_it(
    answering: Callable[..., str], workspace: Workspace
) -> None:
    with pytest.raises(InputRejected, match=r"images\[0\] 'a': host '127\.0\.0\.1' is not on the public internet"):
        fetch_inputs([Entry("a", answering(b"x"))], workspace, cancel=CancelFlag())


def test_addresses_share_the_total_with_base64(answering: Callable[..., str], workspace: Workspace) -> None:
    images = [Entry("a", "YWJj"), Entry("b", answering(b"abc"))]
    with pytest.raises(InputRejected, match=r"images\[1\] 'b': .* exceed 5 bytes in total"):
        fetch_inputs(images, workspace, cancel=CancelFlag(), limits=InputLimits(total_bytes=5), web=LOCAL)


def test_an_s3_address_is_fetched_where_the_deployment_reads_s3(workspace: Workspace) -> None:
    with mock_aws():
        client = boto3.client("s3", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")
        client.create_bucket(Bucket="open-data")
        client.upload_fileobj(io.BytesIO(b"picture"), "open-data", "pictures/a.png")
        s3 = S3Access(client=lambda: client, allow=("s3://open-data/pictures/",))
        fetch_inputs([Entry("a.png", "s3://open-data/pictures/a.png")], workspace, cancel=CancelFlag(), s3=s3)
    assert workspace.input_path("a.png").read_bytes() == b"picture"
