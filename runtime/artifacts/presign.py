"""Links to an S3 object, and forms to put one by, signed without a call to anybody.

AWS Signature Version 4, in the query and in a form's policy: "Authenticating Requests: Using Query Parameters" and
"Browser-Based Uploads Using POST" in the Amazon S3 API Reference.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
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
    def folder(self) -> str:
        """The path of the bucket."""
        base = urlsplit(self.endpoint_url).path.rstrip("/")
        return f"{base}/{self.bucket}/" if self.path_style else f"{base}/"

    @property
    def path(self) -> str:
        return quote(f"{self.folder}{self.key}", safe="/-_.~")


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


def presign_post(
    address: ObjectAddress, key: SigningKey, *, now: float, ttl_s: int, fields: Mapping[str, str], size_bytes: int
) -> tuple[str, Mapping[str, str]]:
    """A URL, and the fields of a form to POST exactly `size_bytes` to the object by, `fields` among them."""
    moment = datetime.fromtimestamp(now, timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    ends = datetime.fromtimestamp(now + ttl_s, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    scope = f"{moment[:8]}/{key.region}/s3/aws4_request"
    form = {
        "key": address.key,
        **fields,
        "x-amz-algorithm": _ALGORITHM,
        "x-amz-credential": f"{key.access_key_id}/{scope}",
        "x-amz-date": moment,
        **({"x-amz-security-token": key.session_token} if key.session_token else {}),
    }
    conditions = [{"bucket": address.bucket}, ["content-length-range", size_bytes, size_bytes]]
    conditions += [{name: value} for name, value in form.items()]
    policy = base64.b64encode(json.dumps({"expiration": ends, "conditions": conditions}).encode()).decode()
    url = f"{address.origin}{address.folder}"
    return url, {**form, "policy": policy, "x-amz-signature": sign_policy(policy, key, scope)}


def sign_policy(policy: str, key: SigningKey, scope: str) -> str:
    """The signature of a form's policy, which is the base64 text that the form has."""
    return _mac(_scoped_key(key.secret_access_key, scope), policy).hex()


def _scoped_key(secret: str, scope: str) -> bytes:
    scoped = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        scoped = _mac(scoped, part)
    return scoped


def _mac(key: bytes, text: str) -> bytes:
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def _escaped(text: str) -> str:
    return quote(text, safe="-_.~")
