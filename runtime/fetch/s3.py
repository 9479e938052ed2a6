"""Files from `s3://` addresses, from where the deployment allows it alone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from runtime.errors import InputRejected, InputUnreachable
from runtime.fetch.access import S3Access
from runtime.fetch.sink import Sink

_CHUNK_BYTES = 1 << 18
_MAX_KEY_BYTES = 1024
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]")
_NO_CHARACTER = re.compile(r"[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, kw_only=True)
class S3Address:
    """A bucket and a key, which is taken literally: no escapes, no query, no empty or dotted segment."""

    bucket: str
    key: str

    @classmethod
    def parse(cls, text: str) -> S3Address:
        """Raises InputRejected where `text` is no `s3://bucket/key` or its key plays tricks with its path."""
        bucket, _, key = text[len("s3://") :].partition("/")
        if not _BUCKET.fullmatch(bucket):
            raise InputRejected(f"S3 bucket {bucket[:80]!r} is no valid name, expected s3://bucket/key")
        if not key or len(key.encode("utf-8", "replace")) > _MAX_KEY_BYTES:
            raise InputRejected(f"an S3 key in bucket {bucket!r} is empty or over {_MAX_KEY_BYTES} bytes")
        if _NO_CHARACTER.search(key) or not {"", ".", ".."}.isdisjoint(key.split("/")):
            raise InputRejected(f"S3 key {key[:80]!r} has an empty, '.' or '..' segment or what is no character")
        return cls(bucket=bucket, key=key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"


def download(text: str, sink: Sink, access: S3Access) -> None:
    """Fetch the object at `text` into `sink`.

    Raises InputRejected, before S3 is asked, for an address that `access` does not cover; InputUnreachable where S3
    does not give the object.
    """
    address = S3Address.parse(text)
    if not is_allowed(address, access):
        raise InputRejected(
            f"{address} may not be read, expected the caller's own inputs or outputs or a prefix in INPUT_S3_ALLOW"
        )
    with _translated(address):
        answer = access.client().get_object(Bucket=address.bucket, Key=address.key)
        with closing(answer["Body"]) as body:
            sink.expect(answer["ContentLength"])
            for chunk in body.iter_chunks(_CHUNK_BYTES):
                sink.write(chunk)


def is_allowed(address: S3Address, access: S3Access) -> bool:
    """Whether the caller may read `address`: an allowed prefix, or its own folders in the deployment's bucket."""
    return _is_own(address, access) or any(_covers(prefix, address) for prefix in access.allow)


def _is_own(address: S3Address, access: S3Access) -> bool:
    user = access.user
    if not user or "/" in user or user in {".", ".."} or address.bucket != access.bucket:
        return False
    return address.key.startswith((f"inputs/{user}/", f"outputs/{user}/"))


def _covers(prefix: str, address: S3Address) -> bool:
    whole = prefix.rstrip("/")
    return str(address) == whole or str(address).startswith(f"{whole}/")


@contextmanager
def _translated(address: S3Address) -> Iterator[None]:
    """Turn boto3's errors into ours; boto3 is imported here because few jobs need it."""
    try:
        from botocore.exceptions import BotoCoreError, ClientError
    except ImportError as exc:
        raise InputRejected(f"{address} cannot be read: this worker is installed without boto3") from exc
    try:
        yield
    except ClientError as exc:
        code = exc.response.get("Error", {}).get("Code", "unknown")
        raise InputUnreachable(f"{address} could not be read: S3 answered {code}") from exc
    except BotoCoreError as exc:
        raise InputUnreachable(f"{address} could not be read: {type(exc).__name__}") from exc
