"""What a deployment lets a request's inputs be read from, and how long it waits for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from runtime.fetch.resolve import Resolver, system_resolver

if TYPE_CHECKING:
    import ssl

    import httpcore
    from mypy_boto3_s3.client import S3Client


@dataclass(frozen=True, kw_only=True)
class WebAccess:
    """How http and https URLs are reached.

    `allow_private` switches the address and port guard off and is for development alone. `network` opens the
    connections to addresses already checked, by default with plain sockets; proxy variables are not looked at,
    since behind a proxy no address could be checked. `ssl_context` defaults to certifi's authorities.
    """

    allow_private: bool = False
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 15.0
    redirects: int = 5
    resolve: Resolver = system_resolver
    network: httpcore.NetworkBackend | None = None
    ssl_context: ssl.SSLContext | None = None


@dataclass(frozen=True, kw_only=True)
class S3Access:
    """How `s3://` addresses are reached.

    `client` makes (or gives) the boto3 client, thread-safe and with short time-outs of its own, since a cancel is
    seen between two chunks only; it is called only when a request names such an address. `allow` holds
    `s3://bucket/folder` prefixes, INPUT_S3_ALLOW, each whole to a `/`. In the deployment's own `bucket` the caller
    `user` reads `inputs/USER/` and `outputs/USER/` as well; None for nobody.
    """

    client: Callable[[], S3Client]
    allow: tuple[str, ...] = ()
    bucket: str | None = None
    user: str | None = None
