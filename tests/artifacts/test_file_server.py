from __future__ import annotations

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from runtime.artifacts.file_responder import FileResponder
from runtime.artifacts.file_server import FileServer
from runtime.artifacts.local import FolderArtifactStore

KEY = "outputs/ada/job-1/1/9_0_a.png"


@pytest.fixture
def url(folder: FolderArtifactStore) -> str:
    folder.put(KEY, b"0123456789", "image/png")
    return folder.sign(KEY, 60).url


def test_a_range_is_a_part_of_the_file(url: str) -> None:
    answer = httpx.get(url, headers={"Range": "bytes=2-4"})
    assert (answer.status_code, answer.content) == (206, b"234")
    assert answer.headers["content-range"] == "bytes 2-4/10"
    assert answer.headers["content-length"] == "3"


def test_a_range_of_another_file_is_the_whole_of_this(url: str) -> None:
    etag = httpx.get(url).headers["etag"]
    headers = {"Range": "bytes=2-4", "If-Range": etag}
    assert httpx.get(url, headers=headers).content == b"234"
    assert httpx.get(url, headers={**headers, "If-Range": '"other"'}).content == b"0123456789"


def test_a_range_behind_the_end_is_refused(url: str) -> None:
    answer = httpx.get(url, headers={"Range": "bytes=10-"})
    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */10")


def test_head_is_get_without_the_file(url: str) -> None:
    head, get = httpx.head(url), httpx.get(url)
    assert (head.status_code, head.content) == (200, b"")
    assert {name: head.headers[name] for name in ("content-length", "content-type", "etag", "accept-ranges")} == {
        name: get.headers[name] for name in ("content-length", "content-type", "etag", "accept-ranges")
    }


def test_a_browser_runs_nothing_that_a_job_made(folder: FolderArtifactStore) -> None:
    folder.put("outputs/page.html", b"<script>alert(1)</script>", "text/html")
    answer = httpx.get(folder.sign("outputs/page.html", 60).url)
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_a_link_changes_nothing(url: str, method: str) -> None:
    answer = httpx.request(method, url, content=b"changed" if method == "PUT" else None)
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD")
    assert httpx.get(url).content == b"0123456789"


@pytest.mark.parametrize("path", ["/", "/files/", f"/files/{KEY}", "/files/outputs/", "/files/.store/link-secret"])
def test_nothing_is_listed_or_given_without_a_signature(url: str, path: str) -> None:
    address = urlsplit(url)
    answer = httpx.get(f"http://{address.netloc}{path}")
    assert answer.status_code == 403
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"


def test_a_signature_is_of_one_key(url: str, folder: FolderArtifactStore) -> None:
    folder.put("outputs/ada/job-1/1/9_0_b.png", b"another's", "image/png")
    assert httpx.get(url.replace("9_0_a", "9_0_b")).status_code == 403


@pytest.mark.parametrize("path", ["/files/../../etc/passwd", "/files/%2e%2e/%2e%2e/etc/passwd", "/files//etc/passwd"])
def test_a_path_that_climbs_is_refused(url: str, path: str) -> None:
    host, port = urlsplit(url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        connection.sendall(f"GET {path}?{urlsplit(url).query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert connection.recv(100).startswith(b"HTTP/1.1 403 ")


def test_many_requests_go_over_one_connection(url: str) -> None:
    with httpx.Client() as client:
        for _ in range(3):
            assert client.get(url).content == b"0123456789"
            assert client.get(f"{url}x").status_code == 403


def test_the_server_listens_to_this_machine_alone(folder: FolderArtifactStore) -> None:
    with FileServer(FileResponder(folder)) as server:
        assert server.url.startswith("http://127.0.0.1:")


def test_a_client_that_goes_away_is_no_error(folder: FolderArtifactStore, capfd: pytest.CaptureFixture[str]) -> None:
    folder.put("large.bin", bytes(8 << 20), "application/octet-stream")
    url = folder.sign("large.bin", 60).url
    with httpx.stream("GET", url) as answer:
        assert next(answer.iter_raw(10)) == bytes(10)
    assert httpx.head(url).status_code == 200
    assert capfd.readouterr().err == ""
