"""Who asks: the tenant whose jobs and files they may see, and what they may do with them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Scope(Enum):
    """What a key or a token allows."""

    READ = "read"  # jobs, files, nodes, models
    EXECUTE = "execute"  # submit, cancel, delete, upload
    MANAGE = "manage"  # keys

    @classmethod
    def all(cls) -> frozenset[Scope]:
        return frozenset(cls)


@dataclass(frozen=True, kw_only=True)
class Principal:
    """An authenticated caller. Whatever they name is looked for among the jobs and files of `tenant` alone."""

    tenant: str
    scopes: frozenset[Scope]

    def may(self, scope: Scope) -> bool:
        return scope in self.scopes
