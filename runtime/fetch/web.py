"""Files from http and https URLs."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager

import httpcore

from runtime.errors import InputRejected, InputUnreachable
from runtime.fetch.access import WebAccess
from runtime.fetch.network import guarded_pool, timeouts
from runtime.fetch.sink import Sink
from runtime.fetch.url import WebUrl

_HEADERS = (("Accept", "*/*"), ("Accept-Encoding", "identity"), ("User-Agent", "comfyui-serverless"))
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_PAGE_BEGINNINGS = (b"<!doctype html", b"<html")


def download(text: str, sink: Sink, access: WebAccess) -> None:
    """Fetch the URL `text` into `sink`, following redirects; each of them is checked as the first URL is.

    Raises InputRejected for an address or content that is out of bounds, InputUnreachable where no whole file came.
    """
    url = WebUrl.parse(text)
    for _ in range(access.redirects + 1):
        location = _download_or_redirect(url, sink, access)
        if location is None:
            return
        url = _follow(url, location)
    raise InputUnreachable(f"{url} is a redirect too many, expected at most {access.redirects}")


def _follow(url: WebUrl, location: str) -> WebUrl:
    target = url.join(location)
    if url.scheme == "https" and target.scheme == "http":
        raise InputRejected(f"{url} redirects from https to http")
    return target


def _download_or_redirect(url: WebUrl, sink: Sink, access: WebAccess) -> str | None:
    with translated(url, access), _get(url, sink, access) as response:
        headers = {name.lower(): value.decode("utf-8", "replace") for name, value in response.headers}
        if response.status in _REDIRECTS and headers.get(b"location"):
            return headers[b"location"]
        if response.status != 200:
            raise InputUnreachable(f"{url} answered {response.status}, expected 200")
        _check_headers(url, headers, sink)
        for chunk in response.iter_stream():
            sink.write(chunk)
    if sink.head.lstrip().lower().startswith(_PAGE_BEGINNINGS):
        raise InputRejected(f"{url} is a web page, expected the file itself")
    return None


@contextmanager
def _get(url: WebUrl, sink: Sink, access: WebAccess) -> Iterator[httpcore.Response]:
    target = httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
    headers = [("Host", url.authority), *_HEADERS]
    with (
        guarded_pool(access, check=sink.check) as pool,
        pool.stream("GET", target, headers=headers, extensions={"timeout": timeouts(access)}) as response,
    ):
        yield response


def _check_headers(url: WebUrl, headers: dict[bytes, str], sink: Sink) -> None:
    encoding = headers.get(b"content-encoding", "identity")
    if encoding.lower() != "identity":
        raise InputRejected(f"{url} came with content-encoding {encoding[:40]!r}, expected none")
    length = headers.get(b"content-length", "")
    if length.isdecimal() and len(length) < 20:
        sink.expect(int(length))


@contextmanager
def translated(url: WebUrl, access: WebAccess) -> Iterator[None]:
    """Turn httpcore's errors into ours; their texts may hold addresses and are not repeated."""
    try:
        yield
    except httpcore.ConnectTimeout as exc:
        raise InputUnreachable(f"{url} did not connect within {access.connect_timeout_s:g} s") from exc
    except httpcore.TimeoutException as exc:
        raise InputUnreachable(f"{url} was silent for {access.read_timeout_s:g} s") from exc
    except httpcore.ConnectError as exc:
        is_tls = bool(exc.args) and isinstance(exc.args[0], ssl.SSLError)
        what = "its certificate or TLS was not accepted" if is_tls else "no connection"
        raise InputUnreachable(f"{url} could not be reached: {what}") from exc
    except (httpcore.NetworkError, httpcore.ProtocolError) as exc:
        raise InputUnreachable(f"{url} broke off or did not speak HTTP/1.1") from exc
