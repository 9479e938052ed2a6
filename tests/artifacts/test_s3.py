from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from functools import cached_property
from typing import Any
from urllib.parse import parse_qs, urlsplit

import boto3
import botocore.session
import pytest
from botocore.credentials import RefreshableCredentials
from moto import mock_aws

from runtime.artifacts.s3 import S3ArtifactStore
from runtime.artifacts.store import ArtifactStore
from runtime.aws import AwsAccess
from runtime.clock import ManualClock
from runtime.errors import StorageUnavailable

KEY = "outputs/a.png"


@pytest.fixture
def aws(moto_access: AwsAccess) -> Iterator[Any]:
    """An S3 with buckets in two regions."""
    with mock_aws():
        client = moto_access.session.client("s3")
        client.create_bucket(Bucket="american")
        client.create_bucket(Bucket="with.dots")
        client.create_bucket(Bucket="european", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        yield client


@dataclass(frozen=True, kw_only=True)
class TemporaryAccess(AwsAccess):
    """As a role gives it: credentials that end at `ends_at`, in epoch seconds, and cannot be refreshed."""

    ends_at: float

    @cached_property
    def session(self) -> boto3.Session:
        session = botocore.session.get_session()
        session._credentials = RefreshableCredentials(  # type: ignore[attr-defined]  # what no public call sets
            "ASIATEST",
            "hidden-secret",
            "hidden-token",
            expiry_time=datetime.fromtimestamp(self.ends_at, timezone.utc),
            refresh_using=dict,
            method="test",
            time_fetcher=lambda: datetime.fromtimestamp(0, timezone.utc),
        )
        return boto3.Session(botocore_session=session, region_name=self.region)


@pytest.mark.parametrize(
    ("bucket", "origin", "region"),
    [
        ("american", "https://american.s3.us-east-1.amazonaws.com", "us-east-1"),
        ("european", "https://european.s3.eu-west-1.amazonaws.com", "eu-west-1"),
        ("with.dots", "https://s3.us-east-1.amazonaws.com/with.dots", "us-east-1"),
    ],
)
def test_a_link_goes_to_the_bucket_s_own_region_and_host(
    aws: Any, moto_access: AwsAccess, bucket: str, origin: str, region: str
) -> None:
    url = S3ArtifactStore(bucket, access=moto_access).sign(KEY, 60).url
    assert url.split("?")[0] == f"{origin}/outputs/a.png"
    assert parse_qs(urlsplit(url).query)["X-Amz-Credential"][0].split("/")[2] == region


def test_a_file_goes_to_a_bucket_in_another_region(aws: Any, moto_access: AwsAccess) -> None:
    S3ArtifactStore("european", access=moto_access).put(KEY, b"picture", "image/png")
    found = aws.get_object(Bucket="european", Key=KEY)
    assert (found["Body"].read(), found["ContentType"]) == (b"picture", "image/png")


def test_a_prefix_holds_a_deployment_s_files_apart(open_s3rver: Callable[..., ArtifactStore]) -> None:
    one, other, whole = (open_s3rver(prefix=prefix) for prefix in ("/a/", "b", ""))
    one.put(KEY, b"picture", "image/png")
    assert other.get(KEY) is None
    assert [artifact.key for artifact in whole.list("")] == ["a/outputs/a.png"]


def test_a_link_names_the_address_that_clients_reach(moto_access: AwsAccess) -> None:
    access = replace(moto_access, endpoint_url="http://minio.internal:9000")
    store = S3ArtifactStore("bucket", access=access, public_endpoint_url="https://files.example.com")
    assert store.sign(KEY, 60).url.startswith("https://files.example.com/bucket/outputs/a.png?")


def test_a_link_ends_with_the_credentials_that_sign_it(aws: Any, clock: ManualClock) -> None:
    access = TemporaryAccess(region="us-east-1", ends_at=int(clock.wall()) + 900)
    link = S3ArtifactStore("american", access=access, clock=clock).sign(KEY, 3600)
    query = parse_qs(urlsplit(link.url).query)
    assert link.expires_at == access.ends_at
    assert (query["X-Amz-Expires"], query["X-Amz-Security-Token"]) == (["900"], ["hidden-token"])
    assert link.warning == "the link ends after 900 s, as do the credentials that sign it"


def test_credentials_that_have_ended_sign_nothing(aws: Any, clock: ManualClock) -> None:
    access = TemporaryAccess(region="us-east-1", ends_at=clock.wall() - 1)
    with pytest.raises(StorageUnavailable, match="the credentials of the bucket have expired"):
        S3ArtifactStore("american", access=access, clock=clock).sign(KEY, 3600)


def test_a_bucket_that_does_not_exist_is_named(aws: Any, moto_access: AwsAccess) -> None:
    with pytest.raises(StorageUnavailable, match="S3 bucket 'missing' does not exist"):
        S3ArtifactStore("missing", access=moto_access).prepare()


def test_a_store_that_refuses_is_named_with_its_code_alone(s3rver_access: AwsAccess) -> None:
    store = S3ArtifactStore("missing", access=s3rver_access)
    with pytest.raises(
        StorageUnavailable, match=r"put of artifact 'outputs/a.png' in S3 bucket 'missing' failed"
    ) as raised:
        store.put(KEY, b"x", "image/png")
    advice = "make the bucket, or correct S3_BUCKET and AWS_REGION"
    assert raised.value.message.endswith(f"failed: NoSuchBucket (404): {advice}")
    assert raised.value.retryable


def test_a_wrong_key_is_told_without_being_shown(s3rver_access: AwsAccess) -> None:
    access = replace(s3rver_access, access_key_id="AKIDWRONG", secret_access_key="hidden-secret")
    with pytest.raises(StorageUnavailable, match="InvalidAccessKeyId") as raised:
        S3ArtifactStore("bucket", access=access).get(KEY)
    assert "AKIDWRONG" not in str(raised.value)
    assert "hidden" not in str(raised.value)


def test_the_client_is_made_once_by_many_threads(aws: Any, moto_access: AwsAccess) -> None:
    store = S3ArtifactStore("american", access=moto_access)
    threads = [threading.Thread(target=store.prepare) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    store.put(KEY, b"picture", "image/png")
    assert store.get(KEY) == b"picture"
