"""Signatures of the Standard Webhooks scheme (standard-webhooks/standard-webhooks: spec/standard-webhooks.md)."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

from runtime.errors import SettingsInvalid

PREFIX = "whsec_"
MIN_SECRET_BYTES = 24
MAX_SECRET_BYTES = 64


@dataclass(frozen=True, kw_only=True)
class Signer:
    """Signs with each of `secrets`, so that a receiver may hold any one of them while one replaces another."""

    secrets: tuple[bytes, ...] = field(repr=False)

    @classmethod
    def parse(cls, text: str) -> Signer:
        """The signer of WEBHOOK_SECRET: `whsec_` and base64 each, separated by commas; of none where it is empty.

        Raises SettingsInvalid, which shows nothing of it, for anything else.
        """
        parts = [part.strip() for part in text.split(",")]
        return cls(secrets=tuple(_secret(place, part) for place, part in enumerate(parts, 1) if part))

    @property
    def can_sign(self) -> bool:
        return bool(self.secrets)

    def headers(self, message_id: str, timestamp: int, body: bytes) -> Mapping[str, str]:
        """What a message carries beside `body` when it is sent at `timestamp`, in epoch seconds."""
        signed = b".".join((message_id.encode(), str(timestamp).encode(), body))
        digests = [hmac.new(secret, signed, hashlib.sha256).digest() for secret in self.secrets]
        return {
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": " ".join(f"v1,{base64.b64encode(digest).decode()}" for digest in digests),
        }


def _secret(place: int, text: str) -> bytes:
    expected = f"expected {PREFIX} and the base64 of {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes"
    if not text.startswith(PREFIX):
        raise SettingsInvalid(f"WEBHOOK_SECRET: secret {place} does not begin with {PREFIX}; {expected}")
    encoded = text.removeprefix(PREFIX)
    try:
        secret = base64.b64decode(encoded + "=" * (-len(encoded) % 4), validate=True)
    except binascii.Error as exc:
        raise SettingsInvalid(f"WEBHOOK_SECRET: secret {place} is no base64; {expected}") from exc
    if not MIN_SECRET_BYTES <= len(secret) <= MAX_SECRET_BYTES:
        raise SettingsInvalid(f"WEBHOOK_SECRET: secret {place} is {len(secret)} bytes; {expected}")
    return secret
