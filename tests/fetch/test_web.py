from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from runtime.errors import Cancelled, InputRejected, InputUnreachable
from runtime.fetch.access import WebAccess
from runtime.fetch.sink import ByteBudget, Sink
from runtime.fetch.web import download

Serve = Callable[[Callable[[BaseHTTPRequestHandler], None]], str]
LOCAL = WebAccess(allow_private=True)


def test_a_file_is_fetched_whole(answering: Callable[..., str], sink: Sink, received: io.BytesIO) -> None:
    data = bytes(range(256)) * 3000
    download(f"{answering(data)}/a.png?size=1", sink, LOCAL)
    assert received.getvalue() == data


def test_a_chunked_answer_is_fetched_whole(serve: Serve, sink: Sink, received: io.BytesIO) -> None:
    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.write(b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n")

    download(serve(route), sink, LOCAL)
    assert received.getvalue() == b"abcde"


def test_no_compression_is_asked_for_and_the_host_keeps_its_port(serve: Serve, sink: Sink) -> None:
    seen: list[tuple[str | None, str | None, str]] = []

    def route(handler: BaseHTTPRequestHandler) -> None:
        seen.append((handler.headers["Accept-Encoding"], handler.headers["Host"], handler.path))
        handler.send_error(404)

    base = serve(route)
    with pytest.raises(InputUnreachable):
        download(f"{base}/a%20b.png?q=1", sink, LOCAL)
    assert seen == [("identity", base.removeprefix("http://"), "/a%20b.png?q=1")]


@pytest.mark.parametrize("status", [204, 304, 403, 404, 500, 503])
def test_another_status_than_200_is_named_without_the_query(
    answering: Callable[..., str], sink: Sink, status: int
) -> None:
    with pytest.raises(InputUnreachable, match=f"/a.png answered {status}") as caught:
        download(f"{answering(b'', status)}/a.png?X-Amz-Signature=secret", sink, LOCAL)
    assert "secret" not in caught.value.message
    assert caught.value.retryable


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(answering: Callable[..., str], sink: Sink, received: io.BytesIO, status: int) -> None:
    target = answering(b"picture")
    download(answering(b"moved", status, {"Location": f"{target}/b.png"}), sink, LOCAL)
    assert received.getvalue() == b"picture"


def test_a_relative_redirect_is_followed(serve: Serve, sink: Sink, received: io.BytesIO) -> None:
    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(302 if handler.path == "/a/b" else 200)
        handler.send_header("Location", "../c")
        handler.send_header("Content-Length", "2")
        handler.end_headers()
        handler.wfile.write(handler.path.encode())

    download(f"{serve(route)}/a/b", sink, LOCAL)
    assert received.getvalue() == b"/c"


def test_redirects_end_after_the_allowed_number(serve: Serve, sink: Sink) -> None:
    paths: list[str] = []

    def route(handler: BaseHTTPRequestHandler) -> None:
        paths.append(handler.path)
        handler.send_response(302)
        handler.send_header("Location", f"/{len(paths)}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    with pytest.raises(InputUnreachable, match="a redirect too many, expected at most 5"):
        download(f"{serve(route)}/0", sink, LOCAL)
    assert paths == ["/0", "/1", "/2", "/3", "/4", "/5"]


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://a.example/", "http://u:p@a.example/"])
def test_a_redirect_is_judged_as_the_first_url_is(answering: Callable[..., str], sink: Sink, location: str) -> None:
    with pytest.raises(InputRejected):
        download(answering(b"", 302, {"Location": location}), sink, LOCAL)


def test_a_declared_length_over_the_limit_is_refused(answering: Callable[..., str], sink: Sink) -> None:
    with pytest.raises(InputRejected, match="2000000 bytes, expected at most 1000000"):
        download(answering(bytes(2_000_000)), sink, LOCAL)


def test_an_endless_answer_is_cut_at_the_limit(serve: Serve, sink: Sink) -> None:
    def route(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        while True:
            handler.wfile.write(bytes(100_000))

    with pytest.raises(InputRejected, match="more than the 1000000 bytes"):
        download(serve(route), sink, LOCAL)


@pytest.mark.parametrize(
    ("body", "headers", "message"),
    [
        pytest.param(b"\x1f\x8b", {"Content-Encoding": "gzip"}, "content-encoding 'gzip'", id="compressed"),
        pytest.param(b"\n<!DOCTYPE html><title>", {}, "is a web page", id="page"),
    ],
)
def test_an_answer_that_is_not_the_file_is_refused(
    answering: Callable[..., str], sink: Sink, body: bytes, headers: dict[str, str], message: str
) -> None:
    with pytest.raises(InputRejected, match=message):
        download(answering(body, 200, headers), sink, LOCAL)


def test_an_answer_cut_off_is_unreachable(answering: Callable[..., str], sink: Sink) -> None:
    base = answering(b"abc", 200, {"Content-Length": "10", "Connection": "close"})
    with pytest.raises(InputUnreachable, match="broke off"):
        download(base, sink, LOCAL)


def test_a_port_where_nobody_listens_is_unreachable(serve: Serve, sink: Sink) -> None:
    with pytest.raises(InputUnreachable, match="could not be reached: no connection"):
        download("http://127.0.0.1:1/a.png", sink, LOCAL)


@pytest.fixture
def silent(serve: Serve) -> Iterator[tuple[str, threading.Event]]:
    """A server that takes a request and says nothing; its address, and what is set once it was asked."""
    asked, end = threading.Event(), threading.Event()

    def route(handler: BaseHTTPRequestHandler) -> None:
        asked.set()
        end.wait(20)

    yield serve(route), asked
    end.set()


def test_a_server_that_stays_silent_is_unreachable(silent: tuple[str, threading.Event], sink: Sink) -> None:
    with pytest.raises(InputUnreachable, match=r"was silent for 0\.3 s"):
        download(silent[0], sink, WebAccess(allow_private=True, read_timeout_s=0.3))


def test_a_silent_server_does_not_hold_up_a_cancel(silent: tuple[str, threading.Event], received: io.BytesIO) -> None:
    base, asked = silent

    def check() -> None:
        if asked.is_set():
            raise Cancelled("stop")

    sink = Sink(received, limit_bytes=10, budget=ByteBudget(10), check=check)
    with pytest.raises(Cancelled):
        download(base, sink, WebAccess(allow_private=True, read_timeout_s=60))
