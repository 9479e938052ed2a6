from __future__ import annotations

import io
from collections.abc import Iterator

import boto3
import pytest
from botocore.config import Config
from moto import mock_aws
from mypy_boto3_s3.client import S3Client

from runtime.errors import Cancelled, InputRejected, InputUnreachable
from runtime.fetch.access import S3Access
from runtime.fetch.s3 import S3Address, download, is_allowed
from runtime.fetch.sink import ByteBudget, Sink


def no_client() -> S3Client:
    raise AssertionError("S3 was asked for what may not be read")


@pytest.fixture
def client() -> Iterator[S3Client]:
    with mock_aws():
        made = boto3.client("s3", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b")  # moto's
        made.create_bucket(Bucket="ours")
        made.put_object(Bucket="ours", Key="inputs/ann/a b.png", Body=b"picture")
        yield made


def test_an_object_is_fetched_whole(client: S3Client, sink: Sink, received: io.BytesIO) -> None:
    access = S3Access(client=lambda: client, bucket="ours", user="ann")
    download("s3://ours/inputs/ann/a b.png", sink, access)
    assert received.getvalue() == b"picture"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("s3://ours/inputs/ann/b.png", "NoSuchKey", id="key"),
        pytest.param("s3://theirs/open/b.png", "NoSuchBucket", id="bucket"),
    ],
)
def test_an_object_that_s3_does_not_give_is_unreachable(client: S3Client, sink: Sink, text: str, code: str) -> None:
    access = S3Access(client=lambda: client, bucket="ours", user="ann", allow=("s3://theirs/open/",))
    with pytest.raises(InputUnreachable, match=f"{text} could not be read: S3 answered {code}"):
        download(text, sink, access)


def test_a_store_that_is_not_there_is_unreachable(sink: Sink) -> None:
    def client() -> S3Client:
        session = boto3.Session(aws_access_key_id="a", aws_secret_access_key="b", region_name="us-east-1")
        config = Config(retries={"total_max_attempts": 1})
        return session.client("s3", endpoint_url="http://127.0.0.1:1", config=config)

    with pytest.raises(InputUnreachable, match="EndpointConnectionError"):
        download("s3://ours/a.png", sink, S3Access(client=client, allow=("s3://ours",)))


def test_an_object_over_the_limit_is_refused_unread(client: S3Client, received: io.BytesIO) -> None:
    sink = Sink(received, limit_bytes=6, budget=ByteBudget(6), check=lambda: None)
    with pytest.raises(InputRejected, match="its size is 7 bytes, expected at most 6"):
        download("s3://ours/inputs/ann/a b.png", sink, S3Access(client=lambda: client, bucket="ours", user="ann"))
    assert received.getvalue() == b""


def test_a_cancel_passes_through(client: S3Client, received: io.BytesIO) -> None:
    def check() -> None:
        raise Cancelled("stop")

    sink = Sink(received, limit_bytes=10, budget=ByteBudget(10), check=check)
    with pytest.raises(Cancelled):
        download("s3://ours/inputs/ann/a b.png", sink, S3Access(client=lambda: client, bucket="ours", user="ann"))


ACCESS = S3Access(client=no_client, bucket="ours", user="ann", allow=("s3://theirs/open", "s3://public"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("s3://ours/inputs/ann/a.png", True, id="own_input"),
        pytest.param("s3://ours/outputs/ann/job/1/a.png", True, id="own_output"),
        pytest.param("s3://ours/requests/job.json", False, id="own_bucket_other_folder"),
        pytest.param("s3://ours/inputs/bob/a.png", False, id="another_user"),
        pytest.param("s3://ours/inputs/annabel/a.png", False, id="user_of_longer_name"),
        pytest.param("s3://theirs/inputs/ann/a.png", False, id="own_folder_in_another_bucket"),
        pytest.param("s3://theirs/open/sub/a.png", True, id="allowed_prefix"),
        pytest.param("s3://theirs/open", True, id="allowed_object"),
        pytest.param("s3://theirs/opened/a.png", False, id="prefix_ends_at_a_slash"),
        pytest.param("s3://public/a.png", True, id="allowed_bucket"),
        pytest.param("s3://public-not/a.png", False, id="bucket_of_longer_name"),
    ],
)
def test_what_may_be_read(text: str, expected: bool) -> None:
    assert is_allowed(S3Address.parse(text), ACCESS) is expected


@pytest.mark.parametrize("user", [None, "", ".", "..", "ann/x"])
def test_a_user_that_is_no_single_segment_owns_nothing(user: str | None) -> None:
    access = S3Access(client=no_client, bucket="ours", user=user)
    assert not is_allowed(S3Address(bucket="ours", key=f"inputs/{user}/a.png"), access)


def test_what_may_not_be_read_is_refused_before_s3_is_asked(sink: Sink) -> None:
    with pytest.raises(InputRejected, match=r"s3://ours/inputs/bob/a\.png may not be read"):
        download("s3://ours/inputs/bob/a.png", sink, ACCESS)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("s3://ours/inputs/ann/../bob/a.png", id="dots"),
        pytest.param("s3://ours/inputs/ann//a.png", id="empty_segment"),
        pytest.param("s3://ours//inputs/ann/a.png", id="leading_slash"),
        pytest.param("s3://ours/inputs/ann/./a.png", id="dot"),
        pytest.param("s3://ours/inputs/ann/", id="folder"),
        pytest.param("s3://ours/a\nb", id="line_break"),
        pytest.param("s3://ours/\ud800", id="surrogate"),
        pytest.param("s3://ours/" + "a" * 1025, id="long"),
        pytest.param("s3://ours", id="no_key"),
        pytest.param("s3://Ours/a.png", id="bucket_name"),
        pytest.param("s3://arn:aws:s3:eu-west-1:1:accesspoint/x/a.png", id="access_point"),
    ],
)
def test_an_address_that_plays_tricks_is_refused(sink: Sink, text: str) -> None:
    with pytest.raises(InputRejected):
        download(text, sink, S3Access(client=no_client, bucket="ours", user="ann", allow=("s3://ours",)))
