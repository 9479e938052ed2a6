"""How the AWS backends reach their service: whose credentials, which region, which address."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from boto3.session import Session
    from botocore.config import Config

CONNECT_TIMEOUT_S = 3.0
ATTEMPTS = 4


@dataclass(frozen=True, kw_only=True)
class AwsAccess:
    """Where and as whom to call AWS, or what speaks its protocols at `endpoint_url`.

    What is None comes from where boto3 finds it: the environment, the shared files, the machine's role.
    """

    region: str | None = None
    endpoint_url: str | None = None
    access_key_id: str | None = field(default=None, repr=False)
    secret_access_key: str | None = field(default=None, repr=False)
    session_token: str | None = field(default=None, repr=False)

    @cached_property
    def session(self) -> Session:
        """The one boto3 session of this access. Its first client of a kind takes some 0.3 s, the next ones 0.02 s."""
        from boto3.session import Session

        return Session(
            aws_access_key_id=self.access_key_id,
            aws_secret_access_key=self.secret_access_key,
            aws_session_token=self.session_token,
            region_name=self.region,
        )


def client_config(*, read_timeout_s: float, **options: Any) -> Config:
    """A Config that bounds one call: ATTEMPTS times connecting and reading, some 7 s of backoff between them.

    Throttling, 5xx and lost connections are what is tried again (botocore's standard mode).
    """
    from botocore.config import Config

    return Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
        **options,
    )


_REMEDIES = {
    "NoCredentialsError": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role",
    "PartialCredentialsError": "set both AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "NoRegionError": "set AWS_REGION",
    "AccessDenied": "its policy must allow it, see docs/aws.md",
    "AccessDeniedException": "its policy must allow it, see docs/aws.md",
    "InvalidAccessKeyId": "the service does not know AWS_ACCESS_KEY_ID",
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY is not that of AWS_ACCESS_KEY_ID",
    "NoSuchBucket": "make the bucket, or correct S3_BUCKET and AWS_REGION",
    "ResourceNotFoundException": "make the table, see docs/aws.md, or correct its name and AWS_REGION",
}
"""What to do about a failure, by the service's code or botocore's kind."""


def explain(error: Exception) -> str:
    """What a botocore error says without what it may quote: the service's code, or the kind of failure; what to do."""
    response = getattr(error, "response", None)
    code, status = type(error).__name__, ""
    if isinstance(response, dict):
        code = response.get("Error", {}).get("Code", "no code")
        status = f" ({response.get('ResponseMetadata', {}).get('HTTPStatusCode', 'no status')})"
    remedy = f": {_REMEDIES[code]}" if code in _REMEDIES else ""
    return f"{code}{status}{remedy}"
