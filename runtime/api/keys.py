"""API keys: for machines, shown once, kept as hashes."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.api.errors import NotFound, Unauthenticated
from runtime.api.principal import Principal, Scope
from runtime.clock import Clock, utc_text
from runtime.documents.store import Document, DocumentStore
from runtime.errors import InvalidRequest

PREFIX = "csk"
USED_EVERY_S = 3600
"""How exactly the last use of a key is known: each time it is written costs a write."""
MOST_KEYS = 100


@dataclass(frozen=True, kw_only=True)
class ApiKey:
    """A key as its owner sees it afterwards; times in ISO 8601."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    created_at: str
    expires_at: str | None = None
    last_used_at: str | None = None


class ApiKeys:
    """The keys of every tenant. A key reads `csk_TENANT_ID_SECRET`, so that finding it takes one read."""

    def __init__(self, documents: DocumentStore, *, clock: Clock) -> None:
        self._documents = documents
        self._clock = clock

    def create(
        self, tenant: str, name: str, *, scopes: Iterable[Scope], ttl_s: int | None = None
    ) -> tuple[str, ApiKey]:
        """A new key, and what is known of it: the key itself is never seen again."""
        if len(self._documents.list(_collection(tenant), limit=MOST_KEYS)) >= MOST_KEYS:
            raise InvalidRequest(f"there are {MOST_KEYS} keys already: delete one first")
        now = self._clock.wall()
        key_id, secret = secrets.token_hex(8), secrets.token_hex(32)
        expires_at = None if ttl_s is None else int(now) + ttl_s
        value: dict[str, Any] = {
            "name": name,
            "scopes": sorted(scope.value for scope in scopes),
            "created_at": utc_text(now),
            "secret_sha256": _sha256(secret),
            "expires_at": None if expires_at is None else utc_text(expires_at),
            "ends": expires_at,
        }
        put = self._documents.put(_collection(tenant), key_id, value, expires_at=expires_at)
        if put is None:
            raise InvalidRequest(f"key {key_id} is there already")
        return "_".join((PREFIX, tenant, key_id, secret)), _api_key(put)

    def list(self, tenant: str) -> Sequence[ApiKey]:
        """The tenant's keys that are neither deleted nor expired."""
        return [_api_key(found) for found in self._documents.list(_collection(tenant), limit=MOST_KEYS)]

    def delete(self, tenant: str, key_id: str) -> None:
        """Revoke a key, at once. Raises NotFound."""
        if not self._documents.delete(_collection(tenant), key_id):
            raise NotFound(f"there is no key {key_id[:100]!r}")

    def authenticate(self, key: str) -> Principal:
        """Whose key it is and what it allows. Raises Unauthenticated."""
        prefix, _, rest = key.partition("_")
        tenant, key_id, secret = (*rest.rsplit("_", 2), "", "")[:3]
        found = self._documents.get(_collection(tenant), key_id) if prefix == PREFIX and secret else None
        if found is None or not hmac.compare_digest(found.value["secret_sha256"], _sha256(secret)):
            raise Unauthenticated("the API key is wrong, expired or revoked")
        self._note_use(tenant, found)
        scopes = frozenset(Scope(scope) for scope in found.value["scopes"])
        return Principal(tenant=tenant, scopes=scopes)

    def _note_use(self, tenant: str, found: Document) -> None:
        now = self._clock.wall()
        if now - found.value.get("last_used", 0) >= USED_EVERY_S:
            value = {**found.value, "last_used": now}
            ends = found.value["ends"]
            self._documents.put(_collection(tenant), found.name, value, over=found.version, expires_at=ends)


def _api_key(found: Document) -> ApiKey:
    value = found.value
    return ApiKey(
        key_id=found.name,
        name=value["name"],
        scopes=tuple(value["scopes"]),
        created_at=value["created_at"],
        expires_at=value["expires_at"],
        last_used_at=utc_text(value["last_used"]) if "last_used" in value else None,
    )


def _collection(tenant: str) -> str:
    return f"keys {tenant}"


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
