"""Models from S3, and from whatever speaks its protocol."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError
from urllib3.exceptions import HTTPError

from runtime.aws import explain
from runtime.models.manifest_source import Source
from runtime.models.sync.remote import SourceFailed

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_CHUNK_BYTES = 1 << 20
_PERMANENT = (400, 401, 403, 404, 405, 410, 412, 416)


class S3Remote:
    """An object, read by ranges of the version that was there when it was opened. Errors as of `Remote`."""

    has_ranges = True

    def __init__(self, source: Source, client: S3Client) -> None:
        self._source = source
        self._client = client
        self._bucket, self._key = source.s3
        self.file_name = source.file_name
        with self._translated():
            head = client.head_object(Bucket=self._bucket, Key=self._key)
        self.size_bytes: int | None = head["ContentLength"]
        self.validator = head["ETag"]

    def read(self, start: int, end: int | None) -> Iterator[bytes]:
        end = self.size_bytes or 0 if end is None else end
        with self._translated():
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._key, Range=f"bytes={start}-{end - 1}", IfMatch=self.validator
            )
            with closing(answer["Body"]) as body:
                if answer["ContentLength"] != end - start:
                    raise SourceFailed(f"{self._source} gave {answer['ContentLength']} bytes, expected {end - start}")
                yield from body.iter_chunks(_CHUNK_BYTES)

    def close(self) -> None:
        """The client is the caller's."""

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except ClientError as exc:
            status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 500)
            message = f"{self._source}: S3 answered {explain(exc)}"
            raise SourceFailed(message, transient=status not in _PERMANENT) from exc
        except (BotoCoreError, HTTPError) as exc:
            raise SourceFailed(f"{self._source}: {type(exc).__name__}", transient=True) from exc
