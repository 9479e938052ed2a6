"""Models over http and https: Hugging Face, Civitai and any other server."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from email.message import Message
from urllib.parse import urlsplit

import httpcore

from runtime.errors import InputError, InputUnreachable
from runtime.fetch.network import GuardedNetwork, timeouts
from runtime.fetch.url import WebUrl
from runtime.models.manifest_source import Source
from runtime.models.sync.remote import Check, SourceAccess, SourceFailed

_HEADERS = (("Accept", "*/*"), ("Accept-Encoding", "identity"), ("User-Agent", "comfyui-serverless"))
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MOST_REDIRECTS = 8
_STALE = frozenset({401, 403, 404, 410})  # what a signed address that a redirect gave answers once it has expired
_TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
_CONTENT_RANGE = re.compile(r"^bytes (\d+)-(\d+)/(\d+)$")
_KEEP_ALIVE_S = 20.0
_LONGEST_RETRY_AFTER_S = 60.0


class WebRemote:
    """A file behind a URL. Where its redirects led is remembered, and asked for anew once that is refused."""

    def __init__(
        self, source: Source, access: SourceAccess, *, connections: int, check: Check, is_hash_known: bool
    ) -> None:
        self._source = source
        self._is_hash_known = is_hash_known
        self._access = access
        self._pool = httpcore.ConnectionPool(
            ssl_context=access.web.ssl_context,
            network_backend=GuardedNetwork(access.web, check=check),
            max_connections=connections,
            keepalive_expiry=_KEEP_ALIVE_S,
        )
        self.size_bytes: int | None = None
        self.validator = ""
        self.has_ranges = False
        self.file_name = source.file_name
        try:
            with self._translated():
                text = source.web_url(hf_endpoint=access.hf_endpoint, civitai_endpoint=access.civitai_endpoint)
                self._origin = self._resolved = WebUrl.parse(text)
                self._probe()
        except BaseException:
            self.close()
            raise

    def read(self, start: int, end: int | None) -> Iterator[bytes]:
        wanted = None if end is None else f"bytes={start}-{end - 1}"
        with self._translated(), self._get(wanted) as (response, headers):
            self._check_range(response.status, headers, start, end)
            left = (self.size_bytes if end is None else end - start) or 0
            for chunk in response.iter_stream():
                left -= len(chunk)
                if left < 0 and (end is not None or self.size_bytes is not None):
                    raise SourceFailed(f"{self._source} sent more than it said")
                yield chunk
            if left > 0:
                raise SourceFailed(f"{self._source} broke off {left} bytes before the end", transient=True)

    def close(self) -> None:
        self._pool.close()

    def _probe(self) -> None:
        """Ask for the first byte: servers that sign their addresses for GET alone answer no HEAD."""
        with self._get("bytes=0-0") as (response, headers):
            found = _CONTENT_RANGE.match(headers.get("content-range", ""))
            if response.status == 206 and found:
                self.has_ranges, self.size_bytes = True, int(found[3])
            elif headers.get("content-length", "").isdecimal():
                self.size_bytes = int(headers["content-length"])
            self.validator = headers.get("etag") or headers.get("last-modified", "")
            self.file_name = _disposition_name(headers.get("content-disposition", "")) or self.file_name
            kind = headers.get("content-type", "")
        if kind.startswith("text/html"):
            raise SourceFailed(f"{self._source} is a web page, expected the file itself")

    def _check_range(self, status: int, headers: Mapping[str, str], start: int, end: int | None) -> None:
        validator = headers.get("etag") or headers.get("last-modified", "")
        if validator != self.validator and not self._is_hash_known:
            raise SourceFailed(f"{self._source} changed while it was fetched")
        if end is None:
            return
        found = _CONTENT_RANGE.match(headers.get("content-range", ""))
        given = tuple(map(int, found.groups())) if found and status == 206 else None
        if given != (start, end - 1, self.size_bytes):
            raise SourceFailed(f"{self._source} did not give the bytes {start} to {end - 1} that it was asked for")

    @contextmanager
    def _get(self, wanted: str | None) -> Iterator[tuple[httpcore.Response, Mapping[str, str]]]:
        """One answer with a body, redirects followed; a remembered address that is refused is looked up once more."""
        url = self._resolved
        for _ in range(_MOST_REDIRECTS + 1):
            with self._send(url, wanted) as response:
                headers = _headers(response)
                if response.status in _REDIRECTS and headers.get("location"):
                    url = _follow(url, headers["location"])
                    continue
                if response.status in _STALE and url == self._resolved and url != self._origin:
                    url = self._resolved = self._origin
                    continue
                self._raise_for(response.status, headers)
                self._resolved = url
                yield response, headers
                return
        raise SourceFailed(f"{self._source} has more than {_MOST_REDIRECTS} redirects")

    @contextmanager
    def _send(self, url: WebUrl, wanted: str | None) -> Iterator[httpcore.Response]:
        target = httpcore.URL(scheme=url.scheme, host=url.host, port=url.port, target=url.target)
        headers = [("Host", url.authority), *_HEADERS]
        if wanted is not None:
            headers.append(("Range", wanted))
        if token := self._token(url):
            headers.append(("Authorization", f"Bearer {token}"))
        extensions = {"timeout": timeouts(self._access.web)}
        with self._pool.stream("GET", target, headers=headers, extensions=extensions) as response:
            yield response

    def _token(self, url: WebUrl) -> str | None:
        """The token that belongs to the host which is asked, if any."""
        access = self._access
        for endpoint, token in ((access.hf_endpoint, access.hf_token), (access.civitai_endpoint, access.civitai_token)):
            own = urlsplit(endpoint)
            if (url.scheme, url.authority) == (own.scheme, own.netloc):
                return token
        return None

    def _raise_for(self, status: int, headers: Mapping[str, str]) -> None:
        if status in (200, 206):
            encoding = headers.get("content-encoding", "identity").lower()
            if encoding != "identity":
                raise SourceFailed(f"{self._source} came with content-encoding {encoding[:40]!r}, expected none")
            return
        hint = ""
        if status in (401, 403):
            hint = f"; it may need {'CIVITAI_API_TOKEN' if self._source.scheme == 'civitai' else 'HF_TOKEN'}"
        wait = headers.get("retry-after", "")
        raise SourceFailed(
            f"{self._source} answered {status}{hint}",
            transient=status in _TRANSIENT,
            retry_after_s=min(float(wait), _LONGEST_RETRY_AFTER_S) if wait.isdecimal() else 0.0,
        )

    @contextmanager
    def _translated(self) -> Iterator[None]:
        """Turn errors of the network into ours; their texts may hold addresses and are not repeated."""
        try:
            yield
        except InputError as exc:
            raise SourceFailed(exc.message, transient=isinstance(exc, InputUnreachable)) from exc
        except httpcore.TimeoutException as exc:
            raise SourceFailed(f"{self._source} did not answer in time", transient=True) from exc
        except httpcore.ConnectError as exc:
            raise SourceFailed(f"{self._source} could not be connected to", transient=True) from exc
        except (httpcore.NetworkError, httpcore.ProtocolError) as exc:
            raise SourceFailed(f"{self._source} broke off or did not speak HTTP/1.1", transient=True) from exc


def _headers(response: httpcore.Response) -> dict[str, str]:
    return {name.decode("latin-1").lower(): value.decode("utf-8", "replace") for name, value in response.headers}


def _follow(url: WebUrl, location: str) -> WebUrl:
    target = url.join(location)
    if url.scheme == "https" and target.scheme == "http":
        raise SourceFailed(f"{url} redirects from https to http")
    return target


def _disposition_name(header: str) -> str:
    """The file name of a Content-Disposition, without a path; empty where there is none."""
    message = Message()
    message["content-disposition"] = header
    return (message.get_filename() or "").replace("\\", "/").rpartition("/")[2]
