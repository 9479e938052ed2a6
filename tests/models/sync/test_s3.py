"""Models from a store that speaks S3, which is a process of its own here."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import boto3
import pytest
from botocore.config import Config
from moody_server import BODY, PATH, SHA256, fetch, wanted
from mypy_boto3_s3.client import S3Client

from runtime.errors import ModelMissing
from runtime.models.sync.syncer import Syncer
from runtime.models.sync.volume import Volume
from scripts import node_servers


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Client]:
    with node_servers.s3rver(tmp_path_factory.mktemp("s3rver")) as url:
        made = boto3.client(
            "s3",
            "us-east-1",
            endpoint_url=url,
            aws_access_key_id="S3RVER",
            aws_secret_access_key="S3RVER",  # s3rver's own
            config=Config(s3={"addressing_style": "path"}),
        )
        made.create_bucket(Bucket="models")
        made.put_object(Bucket="models", Key="sd/a b.safetensors", Body=BODY)
        yield made


def test_an_object_comes_by_ranges(make_syncer: Callable[..., Syncer], client: S3Client, volume: Volume) -> None:
    syncer = make_syncer(s3_client=lambda: client)
    assert fetch(syncer, wanted("s3://models/sd/a b.safetensors"))
    assert volume.file(PATH).read_bytes() == BODY
    record = volume.record(PATH)
    assert record is not None
    assert (record.sha256, record.source) == (SHA256, "s3://models/sd/a b.safetensors")


@pytest.mark.parametrize("source", ["s3://models/absent", "s3://absent-bucket/a"])
def test_an_object_that_is_not_there_is_told(make_syncer: Callable[..., Syncer], client: S3Client, source: str) -> None:
    with pytest.raises(ModelMissing, match=rf"{source}: S3 answered 404 \(404\)"):
        fetch(make_syncer(s3_client=lambda: client), wanted(source))


def test_without_boto3_it_is_said_how_to_get_it(syncer: Syncer) -> None:
    with pytest.raises(ModelMissing, match=r"needs boto3, which is not installed: pip install -e '\.\[aws\]'"):
        fetch(syncer, wanted("s3://models/a"))
