"""The files of a folder over HTTP, to whoever has a link that the folder signed."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from os import fstat, stat_result
from pathlib import Path
from stat import S_ISREG
from typing import BinaryIO

from runtime.artifacts.byte_range import ByteRange, Unsatisfiable, parse_range
from runtime.artifacts.links import Link
from runtime.artifacts.local import FolderArtifactStore
from runtime.artifacts.store import content_disposition
from runtime.clock import Clock, SystemClock

_CHUNK_BYTES = 1 << 16

# What a job made may be anything, also a page with a script: a browser neither guesses its type nor runs it.
_SAFE = (
    ("X-Content-Type-Options", "nosniff"),
    ("Content-Security-Policy", "default-src 'none'; sandbox"),
    ("Referrer-Policy", "no-referrer"),
    ("Cache-Control", "private, no-store"),
)


@dataclass(frozen=True, kw_only=True)
class FileResponse:
    """An answer: its status, its headers, and `length` bytes of `file` from where that stands. Read `chunks` once."""

    status: HTTPStatus
    headers: tuple[tuple[str, str], ...]
    file: BinaryIO | None = None
    length: int = 0

    def chunks(self) -> Iterator[bytes]:
        """The body, a piece at a time; the file is closed behind it."""
        if self.file is None:
            return
        with self.file:
            left = self.length
            while left and (chunk := self.file.read(min(left, _CHUNK_BYTES))):
                left -= len(chunk)
                yield chunk

    def without_body(self) -> FileResponse:
        """The same answer to a HEAD request."""
        if self.file is not None:
            self.file.close()
        return replace(self, file=None, length=0)


class FileResponder:
    """Answers requests for a folder's files, whatever server they come through. Lists nothing, and changes nothing.

    403 for a link that the folder did not sign or that has ended, before any file is looked at; 404 for a file that
    is not there, and for any path but a link's; a single Range is 206, or 416 behind the file's end.
    """

    def __init__(self, store: FolderArtifactStore, *, clock: Clock | None = None) -> None:
        self._store = store
        self._clock = clock or SystemClock()

    def respond(self, method: str, target: str, headers: Mapping[str, str]) -> FileResponse:
        """The answer to `method` on `target`, a path with its query; `headers` has lower-case names."""
        if method not in ("GET", "HEAD"):
            allow = (("Allow", "GET, HEAD"), ("Connection", "close"))  # the request's body is not read
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "A link can only be read.", *allow)
        response = self._respond(target, headers)
        return response.without_body() if method == "HEAD" else response

    def _respond(self, target: str, headers: Mapping[str, str]) -> FileResponse:
        link = self._store.signer.read(target)
        if link is None or self._clock.wall() >= link.expires_at:
            return _refusal(HTTPStatus.FORBIDDEN, "This is no link of this store, or it has expired.")
        file = _opened(self._store.path(link.key))
        if file is None:
            return _refusal(HTTPStatus.NOT_FOUND, "The file of this link is not there any more.")
        return self._file(link, file, headers)

    def _file(self, link: Link, file: BinaryIO, headers: Mapping[str, str]) -> FileResponse:
        found = fstat(file.fileno())
        etag = _etag(found)
        try:
            asked = parse_range(headers.get("range"), found.st_size) if _applies(headers, etag) else None
        except Unsatisfiable as exc:
            file.close()
            size = ("Content-Range", f"bytes */{found.st_size}")
            return _refusal(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, f"There is no such range: {exc}.", size)
        part = asked or ByteRange(start=0, length=found.st_size)
        file.seek(part.start)
        return FileResponse(
            status=HTTPStatus.PARTIAL_CONTENT if asked else HTTPStatus.OK,
            headers=(
                ("Content-Type", self._store.content_type(link.key)),
                ("Content-Length", str(part.length)),
                ("Content-Disposition", content_disposition(link.filename) if link.filename else "inline"),
                ("Accept-Ranges", "bytes"),
                ("ETag", etag),
                *((("Content-Range", _content_range(asked, found.st_size)),) if asked else ()),
                *_SAFE,
            ),
            file=file,
            length=part.length,
        )


def _refusal(status: HTTPStatus, sentence: str, *headers: tuple[str, str]) -> FileResponse:
    body = f"{sentence}\n".encode()
    about = (("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body))))
    return FileResponse(status=status, headers=(*about, *headers, *_SAFE), file=io.BytesIO(body), length=len(body))


def _opened(path: Path) -> BinaryIO | None:
    try:
        file = path.open("rb")
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return None
    if S_ISREG(fstat(file.fileno()).st_mode):
        return file
    file.close()
    return None


def _etag(found: stat_result) -> str:
    return f'"{found.st_mtime_ns:x}-{found.st_size:x}"'


def _applies(headers: Mapping[str, str], etag: str) -> bool:
    """Whether a range is of the file as it is now: a client that has part of another file gets the whole of this."""
    return headers.get("if-range", etag) == etag


def _content_range(part: ByteRange, size_bytes: int) -> str:
    return f"bytes {part.start}-{part.start + part.length - 1}/{size_bytes}"
