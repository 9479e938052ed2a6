"""Which bucket outputs go to."""

from __future__ import annotations

import pytest

from runtime.bucket import Bucket, find_bucket
from runtime.errors import SettingsInvalid


def test_without_a_name_and_an_address_there_is_none() -> None:
    assert find_bucket(name=None, endpoint_url=None, region="eu-west-1") is None


def test_a_name_alone_is_a_bucket_on_aws() -> None:
    found = find_bucket(name="pictures", endpoint_url=None, region="eu-west-1")
    assert found == Bucket(name="pictures", endpoint_url=None, region="eu-west-1")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://pics.s3.eu-west-1.amazonaws.com", Bucket(name="pics", endpoint_url=None, region="eu-west-1")),
        ("https://my.pics.s3.us-east-2.amazonaws.com/", Bucket(name="my.pics", endpoint_url=None, region="us-east-2")),
        ("https://pics.s3.amazonaws.com", Bucket(name="pics", endpoint_url=None, region=None)),
        ("https://s3.us-gov-west-1.amazonaws.com/pics", Bucket(name="pics", endpoint_url=None, region="us-gov-west-1")),
        ("https://r2.example.com/pics", Bucket(name="pics", endpoint_url="https://r2.example.com", region=None)),
        ("http://127.0.0.1:9000/pics", Bucket(name="pics", endpoint_url="http://127.0.0.1:9000", region=None)),
    ],
    ids=["virtual host", "dotted name", "no region", "path style", "another store", "a port"],
)
def test_an_address_that_names_the_bucket_is_read_as_worker_comfyui_writes_it(url: str, expected: Bucket) -> None:
    assert find_bucket(name=None, endpoint_url=url, region=None) == expected


def test_a_name_beats_what_the_address_says() -> None:
    found = find_bucket(name="pics", endpoint_url="https://store.example.com", region="auto")
    assert found == Bucket(name="pics", endpoint_url="https://store.example.com", region="auto")


@pytest.mark.parametrize("url", ["https://store.example.com", "store.example.com/pics", "ftp://store/pics"])
def test_an_address_that_names_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="S3_ENDPOINT_URL is"):
        find_bucket(name=None, endpoint_url=url, region=None)


def test_a_refusal_does_not_repeat_credentials_of_the_address() -> None:
    with pytest.raises(SettingsInvalid) as refused:
        find_bucket(name=None, endpoint_url="https://key:hush@store.example.com", region=None)
    assert "hush" not in refused.value.message


@pytest.mark.parametrize("name", ["s3://pictures", "my pictures", "pictures/outputs"])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"S3_BUCKET is '{name}'; expected a bucket's name alone"):
        find_bucket(name=name, endpoint_url=None, region=None)
