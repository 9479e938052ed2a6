"""Links to an S3 object, signed without a call to anybody.

AWS Signature Version 4 in the query: "Authenticating Requests: Using Query Parameters" in the Amazon S3 API Reference.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timezone
from urllib.parse import quote, urlsplit

_ALGORITHM = "AWS4-HMAC-SHA256"


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """Credentials at one moment, and the region that they sign for."""

    access_key_id: str
    region: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class ObjectAddress:
    """Where an object is reached: by the bucket's own host name, or by a path where `path_style`."""

    endpoint_url: str
    bucket: str
    key: str
    path_style: bool

    @property
    def origin(self) -> str:
        scheme, host = urlsplit(self.endpoint_url)[:2]
        return f"{scheme}://{host}" if self.path_style else f"{scheme}://{self.bucket}.{host}"

    @property
    def path(self) -> str:
        base = urlsplit(self.endpoint_url).path.rstrip("/")
        return quote(f"{base}/{self.bucket}/{self.key}" if self.path_style else f"{base}/{self.key}", safe="/-_.~")


def presign(address: ObjectAddress, key: SigningKey, *, now: float, ttl_s: int, extra: Mapping[str, str]) -> str:
    """A URL to GET the object by, from `now` (epoch seconds) for `ttl_s` seconds; `extra` is signed into its query."""
    moment = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{moment[:8]}/{key.region}/s3/aws4_request"
    query = {
        "X-Amz-Algorithm": _ALGORITHM,
        "X-Amz-Credential": f"{key.access_key_id}/{scope}",
        "X-Amz-Date": moment,
        "X-Amz-Expires": str(ttl_s),
        "X-Amz-SignedHeaders": "host",
        **({"X-Amz-Security-Token": key.session_token} if key.session_token else {}),
        **extra,
    }
    canonical_query = "&".join(f"{_escaped(name)}={_escaped(query[name])}" for name in sorted(query))
    host = urlsplit(address.origin).netloc
    canonical = f"GET\n{address.path}\n{canonical_query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD"
    to_sign = f"{_ALGORITHM}\n{moment}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = _mac(_scoped_key(key.secret_access_key, scope), to_sign).hex()
    return f"{address.origin}{address.path}?{canonical_query}&X-Amz-Signature={signature}"


def _scoped_key(secret: str, scope: str) -> bytes:
    scoped = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        scoped = _mac(scoped, part)
    return scoped


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _escaped(text: str) -> str:
    return quote(text, safe="-_.~")
