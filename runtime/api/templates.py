"""Workflows kept under a name, to be run by it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from runtime.api.errors import NotFound
from runtime.artifacts.store import ArtifactStore
from runtime.canonical import sha256_of_json
from runtime.clock import Clock, utc_text
from runtime.documents.store import Document, DocumentStore
from runtime.errors import InvalidRequest

MOST_TEMPLATES = 500
_JSON = "application/json"


@dataclass(frozen=True, kw_only=True)
class Template:
    """A template as it is listed; `workflow` where it was read whole."""

    name: str
    description: str
    sha256: str
    created_at: str
    updated_at: str
    workflow: Mapping[str, Any] | None = field(default=None, repr=False)


class Templates:
    """The templates of every tenant: what they are called in the document store, their workflows among the files."""

    def __init__(self, documents: DocumentStore, artifacts: ArtifactStore, *, clock: Clock) -> None:
        self._documents = documents
        self._artifacts = artifacts
        self._clock = clock

    def put(self, tenant: str, name: str, workflow: Mapping[str, Any], description: str) -> Template:
        """Keep the workflow under `name`, in place of what was there."""
        before = self._documents.get(_collection(tenant), name)
        if before is None and len(self._documents.list(_collection(tenant), limit=MOST_TEMPLATES)) >= MOST_TEMPLATES:
            raise InvalidRequest(f"there are {MOST_TEMPLATES} templates already: delete one first")
        sha256 = _sha256(workflow)
        self._artifacts.put(_key(tenant, sha256), json.dumps(workflow).encode(), _JSON)
        now = utc_text(self._clock.wall())
        created_at = before.value["created_at"] if before else now
        value = {"description": description, "sha256": sha256, "created_at": created_at, "updated_at": now}
        self._documents.put(_collection(tenant), name, value)
        if before is not None and before.value["sha256"] != sha256:
            self._forget_file(tenant, before.value["sha256"])
        return Template(name=name, workflow=workflow, **value)

    def get(self, tenant: str, name: str) -> Template:
        """The template with its workflow. Raises NotFound."""
        found = self._documents.get(_collection(tenant), name)
        data = self._artifacts.get(_key(tenant, found.value["sha256"])) if found else None
        if found is None or data is None:
            raise NotFound(f"there is no template {name[:100]!r}")
        return Template(name=name, workflow=json.loads(data), **found.value)

    def list(self, tenant: str) -> Sequence[Template]:
        """The tenant's templates by name, without their workflows."""
        return [_listed(found) for found in self._documents.list(_collection(tenant), limit=MOST_TEMPLATES)]

    def delete(self, tenant: str, name: str) -> None:
        """Forget the template. Raises NotFound."""
        found = self._documents.get(_collection(tenant), name)
        if found is None or not self._documents.delete(_collection(tenant), name):
            raise NotFound(f"there is no template {name[:100]!r}")
        self._forget_file(tenant, found.value["sha256"])

    def _forget_file(self, tenant: str, sha256: str) -> None:
        """Delete a workflow's file, unless another template is of the same workflow."""
        if all(template.sha256 != sha256 for template in self.list(tenant)):
            self._artifacts.delete(_key(tenant, sha256))


def _listed(found: Document) -> Template:
    return Template(name=found.name, **found.value)


def _sha256(workflow: Mapping[str, Any]) -> str:
    try:
        json.dumps(workflow, ensure_ascii=False, allow_nan=False).encode()  # what no answer could hold is not kept
        return sha256_of_json(workflow)
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidRequest(f"the workflow is no plain JSON: {exc}") from exc


def _collection(tenant: str) -> str:
    return f"templates {tenant}"


def _key(tenant: str, sha256: str) -> str:
    return f"templates/{tenant}/{sha256}.json"
