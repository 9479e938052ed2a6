"""What keeps small documents beside the jobs: accounts, keys, counters, templates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

ABSENT = 0
"""The version of a document that is not there."""


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document as it stands; `version` grows with every put, from 1."""

    name: str
    value: Mapping[str, Any] = field(repr=False)
    version: int


class DocumentStore(Protocol):
    """Documents of JSON's types, by name within a collection, and counters.

    Each call is atomic: of several callers that put over the same version, one wins. A document past its `expires_at`
    (epoch seconds) is absent. Every call may raise StateUnavailable, after retries of its own.
    """

    def get(self, collection: str, name: str) -> Document | None:
        """The document as of the last call that returned, by whomever; None if it is absent."""

    def put(
        self,
        collection: str,
        name: str,
        value: Mapping[str, Any],
        *,
        over: int | None = None,
        expires_at: int | None = None,
    ) -> Document | None:
        """The document with its new value; None, and nothing is written, if its version is not `over`.

        `over` None: whatever stands there. ABSENT: only if nothing does.
        """

    def delete(self, collection: str, name: str) -> bool:
        """Forget the document; False if it was absent."""

    def list(self, collection: str, *, after: str | None = None, limit: int = 100) -> Sequence[Document]:
        """At most `limit` documents of the collection, by their names in order, from behind `after` on."""

    def count(self, collection: str, name: str, *, amount: int, at_most: int, expires_at: int) -> int | None:
        """Add to the counter and answer its sum; None, and nothing is added, where that would be over `at_most`.

        A counter begins at 0 and is forgotten at `expires_at`, which its first call sets.
        """

    def prepare(self) -> None:
        """Open what the first call would open."""

    def close(self) -> None:
        """Give back what is open. The next call opens it again."""
