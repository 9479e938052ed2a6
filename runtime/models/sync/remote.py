"""What a source looks like once it is opened, whatever its protocol."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from runtime.fetch.access import WebAccess
from runtime.models.manifest_source import Source

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

Check = Callable[[], None]
"""Called between chunks and inside waits, from several threads; raises when the transfer shall end."""


class SourceFailed(Exception):
    """A source did not give the file. `transient`: the same request may succeed later, after `retry_after_s`."""

    def __init__(self, message: str, *, transient: bool = False, retry_after_s: float = 0.0) -> None:
        super().__init__(message)
        self.message = message
        self.transient = transient
        self.retry_after_s = retry_after_s


class Remote(Protocol):
    """A file at its source, safe to read from several threads at once.

    `read` gives the bytes from `start` to `end`, all of them or SourceFailed; only from 0 to None where the source has
    no ranges. A file that changed since it was opened is SourceFailed too.
    """

    size_bytes: int | None
    validator: str
    has_ranges: bool
    file_name: str

    def read(self, start: int, end: int | None) -> Iterator[bytes]: ...

    def close(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class SourceAccess:
    """How sources are reached, and as whom.

    A token goes to its own host alone, never with a redirect to another. `web` says which addresses may be reached.
    """

    web: WebAccess
    s3_client: Callable[[], S3Client] | None = None
    hf_endpoint: str = "https://huggingface.co"
    civitai_endpoint: str = "https://civitai.com"
    hf_token: str | None = field(default=None, repr=False)
    civitai_token: str | None = field(default=None, repr=False)


def open_remote(
    source: Source, access: SourceAccess, *, connections: int, check: Check, is_hash_known: bool = False
) -> Remote:
    """Ask the source for the file's size and version. Raises SourceFailed.

    With `is_hash_known` the answers of one server may name different versions, as those of several machines behind one
    name do: the hash of the whole tells whether they were of one file.
    """
    if source.scheme == "file":
        from runtime.models.sync.local import LocalRemote

        return LocalRemote(source.rest)
    if source.scheme == "s3":
        from runtime.models.sync.s3 import S3Remote

        if access.s3_client is None:
            raise SourceFailed(f"{source} needs boto3, which is not installed: pip install -e '.[aws]'")
        return S3Remote(source, access.s3_client())
    from runtime.models.sync.web import WebRemote

    return WebRemote(source, access, connections=connections, check=check, is_hash_known=is_hash_known)
