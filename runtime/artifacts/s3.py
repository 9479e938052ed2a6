"""Artifacts in an S3 bucket, or in what speaks its protocol."""

from __future__ import annotations

import base64
import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from runtime.artifacts.content_types import content_type_of
from runtime.artifacts.presign import ObjectAddress, SigningKey, presign, presign_post
from runtime.artifacts.store import Artifact, SignedForm, SignedUrl, check_key, check_ttl, content_disposition
from runtime.aws import AwsAccess, client_config, explain
from runtime.clock import Clock, SystemClock
from runtime.errors import StorageUnavailable

if TYPE_CHECKING:
    from boto3.session import Session
    from mypy_boto3_s3 import S3Client

_PART_BYTES = 16 << 20
_THREADS = 4
_READ_TIMEOUT_S = 30.0
_ABSENT = ("404", "NoSuchKey")


@dataclass(frozen=True, kw_only=True)
class _Opened:
    """What the first call makes: some 0.3 s, and a request for the bucket's region."""

    session: Session
    client: S3Client
    region: str


class S3ArtifactStore:
    """An ArtifactStore in `bucket`, under `prefix`.

    Buckets of AWS are spoken to in their own region and by their own host name; with `access.endpoint_url` set, by
    path there. Links name `public_endpoint_url` where clients reach the store by another address. Files over 16 MiB
    go in parts, several at a time.
    """

    def __init__(
        self,
        bucket: str,
        *,
        prefix: str = "",
        access: AwsAccess | None = None,
        public_endpoint_url: str | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        self._access = access or AwsAccess()
        self._public_endpoint_url = public_endpoint_url
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._made: _Opened | None = None

    def prepare(self) -> None:
        with self._translated("prepare", ""):
            self._opened()

    def close(self) -> None:
        with self._lock:
            if self._made is not None:
                self._made.client.close()
                self._made = None

    def put(self, key: str, data: bytes | Path, content_type: str) -> None:
        name = self._name(key)
        with self._translated("put", key):
            client = self._opened().client
            if isinstance(data, bytes) and len(data) <= _PART_BYTES:
                client.put_object(Bucket=self._bucket, Key=name, Body=data, ContentType=content_type)
                return
            with io.BytesIO(data) if isinstance(data, bytes) else data.open("rb") as file:
                client.upload_fileobj(
                    file, self._bucket, name, ExtraArgs={"ContentType": content_type}, Config=_in_parts()
                )

    def get(self, key: str) -> bytes | None:
        name = self._name(key)
        try:
            with self._translated("get", key):
                return self._opened().client.get_object(Bucket=self._bucket, Key=name)["Body"].read()
        except _Absent:
            return None

    def download(self, key: str, path: Path) -> bool:
        name = self._name(key)
        try:
            with self._translated("download", key):
                # boto3 itself writes beside `path` and renames.
                self._opened().client.download_file(self._bucket, name, str(path), Config=_in_parts())
        except _Absent:
            return False
        return True

    def stat(self, key: str) -> Artifact | None:
        name = self._name(key)
        try:
            with self._translated("stat", key):
                found = self._opened().client.head_object(Bucket=self._bucket, Key=name)
        except _Absent:
            return None
        return Artifact(key=key, size_bytes=found["ContentLength"], modified_at=found["LastModified"].timestamp())

    def delete(self, key: str) -> None:
        name = self._name(key)
        with self._translated("delete", key):
            self._opened().client.delete_object(Bucket=self._bucket, Key=name)

    def list(self, prefix: str, *, after: str = "") -> Iterator[Artifact]:
        check_key(f"{prefix}x")
        with self._translated("list", prefix):
            pages = self._opened().client.get_paginator("list_objects_v2")
            start: dict[str, Any] = {"StartAfter": self._prefix + after} if after else {}
            for page in pages.paginate(Bucket=self._bucket, Prefix=self._prefix + prefix, **start):
                for found in page.get("Contents", ()):
                    key = found["Key"][len(self._prefix) :]
                    yield Artifact(key=key, size_bytes=found["Size"], modified_at=found["LastModified"].timestamp())

    def sign(self, key: str, ttl_s: float, *, filename: str | None = None) -> SignedUrl:
        name = self._name(key)
        extra = {} if filename is None else {"response-content-disposition": content_disposition(filename)}
        now = int(self._clock.wall())
        kept_s = max(int(check_ttl(ttl_s)), 1)
        address, signing_key, left_s = self._signing(name, now=now, ttl_s=kept_s)
        return SignedUrl(
            url=presign(address, signing_key, now=now, ttl_s=left_s, extra=extra),
            expires_at=now + left_s,
            warning=_warning(asked_s=ttl_s, kept_s=kept_s, left_s=left_s),
        )

    def sign_upload(self, key: str, *, sha256: str, size_bytes: int, ttl_s: float) -> SignedForm | None:
        name = self._name(key)
        fields = {"Content-Type": content_type_of(key)}
        if self._access.endpoint_url is None:  # S3 itself refuses another file; not every store like it knows sums
            fields["x-amz-checksum-algorithm"] = "SHA256"
            fields["x-amz-checksum-sha256"] = base64.b64encode(bytes.fromhex(sha256)).decode()
        now = int(self._clock.wall())
        address, signing_key, left_s = self._signing(name, now=now, ttl_s=max(int(check_ttl(ttl_s)), 1))
        url, form = presign_post(address, signing_key, now=now, ttl_s=left_s, fields=fields, size_bytes=size_bytes)
        return SignedForm(url=url, fields=form, expires_at=now + left_s)

    def _signing(self, name: str, *, now: int, ttl_s: int) -> tuple[ObjectAddress, SigningKey, int]:
        """What an object is signed with, and for how many seconds that lasts, `ttl_s` at the most."""
        with self._translated("sign", name):
            opened = self._opened()
            signing_key, ends_at = self._signing_key(opened)
        left_s = ttl_s if ends_at is None else min(ttl_s, int(ends_at - now))
        if left_s <= 0:
            raise StorageUnavailable(f"sign of artifact {name!r} failed: the credentials of the bucket have expired")
        return self._address(opened, name), signing_key, left_s

    def _name(self, key: str) -> str:
        return self._prefix + check_key(key)

    def _address(self, opened: _Opened, name: str) -> ObjectAddress:
        return ObjectAddress(
            endpoint_url=self._public_endpoint_url or opened.client.meta.endpoint_url,
            bucket=self._bucket,
            key=name,
            # A certificate for *.s3.REGION.amazonaws.com does not hold for a bucket with a dot in its name.
            path_style=self._access.endpoint_url is not None or "." in self._bucket,
        )

    def _signing_key(self, opened: _Opened) -> tuple[SigningKey, float | None]:
        """The credentials as they are now, refreshed where they can be, and when they end."""
        credentials = opened.session.get_credentials()
        if credentials is None:
            raise StorageUnavailable(f"there are no AWS credentials to sign links to S3 bucket {self._bucket!r} with")
        frozen = credentials.get_frozen_credentials()
        if frozen.access_key is None or frozen.secret_key is None:
            raise StorageUnavailable(f"the AWS credentials for S3 bucket {self._bucket!r} have no key")
        ends_at: datetime | None = getattr(credentials, "_expiry_time", None)  # of temporary ones; not public
        signing_key = SigningKey(
            access_key_id=frozen.access_key,
            secret_access_key=frozen.secret_key,
            session_token=frozen.token,
            region=opened.region,
        )
        return signing_key, ends_at.timestamp() if ends_at else None

    def _opened(self) -> _Opened:
        with self._lock:
            if self._made is None:
                self._made = self._open()
            return self._made

    def _open(self) -> _Opened:
        session = self._access.session
        region = session.region_name or "us-east-1"
        client = self._client(session, region)
        if self._access.endpoint_url is None:
            bucket_region = self._bucket_region(client) or region
            if bucket_region != region:
                client.close()
                region, client = bucket_region, self._client(session, bucket_region)
        return _Opened(session=session, client=client, region=region)

    def _client(self, session: Session, region: str) -> S3Client:
        endpoint_url = self._access.endpoint_url
        config = client_config(
            read_timeout_s=_READ_TIMEOUT_S,
            signature_version="s3v4",
            # Other stores than AWS know no checksum trailers.
            request_checksum_calculation="when_required" if endpoint_url else "when_supported",
            response_checksum_validation="when_required" if endpoint_url else "when_supported",
            s3={"addressing_style": "path" if endpoint_url else "virtual", "us_east_1_regional_endpoint": "regional"},
        )
        return session.client("s3", region_name=region, endpoint_url=endpoint_url, config=config)

    def _bucket_region(self, client: S3Client) -> str | None:
        """The region that the bucket is in, which S3 tells also those whom it tells nothing else."""
        from botocore.exceptions import ClientError

        metadata: Any
        try:
            metadata = client.head_bucket(Bucket=self._bucket)["ResponseMetadata"]
        except ClientError as exc:
            metadata = exc.response["ResponseMetadata"]
            if metadata["HTTPStatusCode"] == 404:
                raise StorageUnavailable(f"S3 bucket {self._bucket!r} does not exist") from exc
        region: str | None = metadata.get("HTTPHeaders", {}).get("x-amz-bucket-region")
        return region

    @contextmanager
    def _translated(self, operation: str, key: str) -> Iterator[None]:
        """An object that is not there as _Absent, every other error of boto3's as StorageUnavailable."""
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except (BotoCoreError, ClientError, Boto3Error, OSError) as exc:
            if isinstance(exc, ClientError) and exc.response["Error"]["Code"] in _ABSENT:
                raise _Absent(key) from exc
            message = f"{operation} of artifact {key!r} in S3 bucket {self._bucket!r} failed: {explain(exc)}"
            raise StorageUnavailable(message) from exc


class _Absent(Exception):
    """The bucket has no object of that key."""


def _in_parts() -> Any:
    from boto3.s3.transfer import TransferConfig

    return TransferConfig(multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, max_concurrency=_THREADS)


def _warning(*, asked_s: float, kept_s: int, left_s: int) -> str | None:
    if left_s < kept_s:
        return f"the link ends after {left_s} s, as do the credentials that sign it"
    return f"the link ends after {kept_s} s, the most there is" if kept_s < int(asked_s) else None
