"""Which bucket a deployment's outputs go to, from our own settings or from worker-comfyui's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from runtime.errors import SettingsInvalid

_AWS_HOST = re.compile(
    r"^(?:(?P<bucket>.+)\.)?s3[.-](?:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)\.)?amazonaws\.com(?:\.cn)?$"
)
_NAME = re.compile(r"^[a-zA-Z0-9._-]{1,255}$|^arn:aws[a-z-]*:s3")


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A bucket, and where it is: `endpoint_url` None for AWS itself."""

    name: str
    endpoint_url: str | None
    region: str | None


def find_bucket(*, name: str | None, endpoint_url: str | None, region: str | None) -> Bucket | None:
    """The bucket of the settings, None where they name none.

    worker-comfyui's BUCKET_ENDPOINT_URL names the bucket inside the address: `https://BUCKET.s3.REGION.amazonaws.com`,
    or `https://HOST/BUCKET` for another store. Raises SettingsInvalid for a name that is none,
    and for an address without one where there is no name.
    """
    if name and not _NAME.match(name):
        raise SettingsInvalid(f"S3_BUCKET is {name!r}; expected a bucket's name alone: letters, digits, . - and _")
    if endpoint_url is None:
        return Bucket(name=name, endpoint_url=None, region=region) if name else None
    parts = urlsplit(endpoint_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsInvalid(f"S3_ENDPOINT_URL is {_host(endpoint_url)!r}; expected https://HOST")
    aws = _AWS_HOST.match(parts.hostname)
    in_path = parts.path.strip("/")
    found = name or (aws and aws["bucket"]) or in_path
    if not found:
        raise SettingsInvalid(f"S3_ENDPOINT_URL is {_host(endpoint_url)!r} and names no bucket; set S3_BUCKET")
    if aws:
        return Bucket(name=found, endpoint_url=None, region=region or aws["region"])
    return Bucket(name=found, endpoint_url=f"{parts.scheme}://{parts.netloc}", region=region)


def _host(url: str) -> str:
    """The address without what may be secret in it."""
    return url.rpartition("@")[2].partition("?")[0]
