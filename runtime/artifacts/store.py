"""What keeps files: inputs, outputs, and what is too large for a job's record."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from runtime.artifacts.content_types import SHOWN, content_type_of
from runtime.errors import InvalidRequest

MAX_LINK_S = 7 * 86_400
"""No link lasts longer: it is the most that SigV4 allows."""
RESERVED = ".store"
"""The first segment of no key: a folder keeps its own files there."""

_MAX_KEY_BYTES = 1024  # S3's own limit
_MAX_SEGMENT_BYTES = 255  # most file systems'
_CONTROL = re.compile(r"[\x00-\x1f\x7f\\]")


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """A file in a store; `modified_at` in epoch seconds."""

    key: str
    size_bytes: int
    modified_at: float


@dataclass(frozen=True, kw_only=True)
class SignedUrl:
    """A link that anybody who has it may open until `expires_at`, in epoch seconds.

    `warning` says why it ends sooner than was asked, if it does.
    """

    url: str = field(repr=False)
    expires_at: float
    warning: str | None = None


@dataclass(frozen=True, kw_only=True)
class SignedForm:
    """A form by which anybody who has it may POST one file until `expires_at`: `fields`, then the file as `file`."""

    url: str
    fields: Mapping[str, str] = field(repr=False)
    expires_at: float


class ArtifactStore(Protocol):
    """Files by key. A key is `/`-separated segments, none of them empty, `.` or `..`; InvalidRequest for any other.

    A file is there whole or not at all, whenever a put is cut off; of two puts to one key the later stands. What a
    call wrote, the next one finds. Every call but `sign` may raise StorageUnavailable, after retries of its own.
    """

    def prepare(self) -> None:
        """Open what the first call would open. May be called from another thread, also beside the first call."""

    def close(self) -> None:
        """Give back what is open. The next call opens it again."""

    def put(self, key: str, data: bytes | Path, content_type: str) -> None:
        """Keep `data`, or the file that lies at it, under `key`."""

    def get(self, key: str) -> bytes | None:
        """The file's bytes; None if it is absent."""

    def download(self, key: str, path: Path) -> bool:
        """Write the file to `path`, whole or not at all, in a folder that exists; False if it is absent."""

    def stat(self, key: str) -> Artifact | None:
        """What is known of the file without reading it; None if it is absent."""

    def delete(self, key: str) -> None:
        """Forget the file; nothing happens if it is absent."""

    def list(self, prefix: str, *, after: str = "") -> Iterator[Artifact]:
        """The files whose keys begin with `prefix`, which may be empty or end within a segment.

        In an order of the store's own, in which a list that was cut short goes on behind the key `after`.
        """

    def sign(self, key: str, ttl_s: float, *, filename: str | None = None) -> SignedUrl:
        """A link to read the file by, whether it is there or not, for `ttl_s` seconds and at most MAX_LINK_S.

        A browser saves it as `filename` where that is given. Raises InvalidRequest unless `ttl_s` is above 0,
        StorageUnavailable where there is nothing to sign with.
        """

    def sign_upload(self, key: str, *, sha256: str, size_bytes: int, ttl_s: float) -> SignedForm | None:
        """A form to put exactly that file by; None where nobody but us can put one. Raises as `sign` does.

        Of a store that checks no sums, whoever reads the file has to compare its SHA-256.
        """


def check_key(key: str) -> str:
    """`key`, if it is one. Raises InvalidRequest naming it and what is wrong."""
    shown = repr(key) if len(key) <= 100 else f"{key[:100]!r}..."
    segments = key.split("/")
    if not {"", ".", ".."}.isdisjoint(segments):
        raise InvalidRequest(f"artifact key {shown} has an empty, '.' or '..' segment, expected a name or sub/name")
    if _CONTROL.search(key):
        raise InvalidRequest(f"artifact key {shown} holds a backslash or a control character")
    if segments[0] == RESERVED:
        raise InvalidRequest(f"artifact key {shown} begins with {RESERVED!r}, which is the store's own")
    if _size(key) > _MAX_KEY_BYTES or max(map(_size, segments)) > _MAX_SEGMENT_BYTES:
        raise InvalidRequest(
            f"artifact key {shown} is no UTF-8 or too long, expected at most {_MAX_SEGMENT_BYTES} bytes a segment and "
            f"{_MAX_KEY_BYTES} in all"
        )
    return key


def check_ttl(ttl_s: float) -> float:
    """`ttl_s`, cut to MAX_LINK_S. Raises InvalidRequest unless it is above 0."""
    if not ttl_s > 0:
        raise InvalidRequest(f"a link's time to live is {ttl_s!r} s, expected more than 0")
    return min(ttl_s, MAX_LINK_S)


def content_disposition(filename: str) -> str:
    """The header value by which a browser saves what it is sent as `filename` (RFC 6266, RFC 8187).

    What a browser shows without running anything (pictures, sound, video, plain text) it is let show.
    Raises InvalidRequest for a name with a control character or none that is UTF-8.
    """
    if _CONTROL.search(filename) or _size(filename) > _MAX_SEGMENT_BYTES:
        raise InvalidRequest(f"file name {filename[:100]!r} holds a control character, is no UTF-8 or is too long")
    plain = re.sub(r'[^ -~]|["%]', "_", filename)
    place = "inline" if content_type_of(filename).startswith(SHOWN) else "attachment"
    return f"{place}; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


def _size(text: str) -> int:
    try:
        return len(text.encode("utf-8"))
    except UnicodeEncodeError:
        return _MAX_KEY_BYTES + 1
