"""Earlier outputs for a request that is the same in all that decides them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from runtime.artifacts.store import ArtifactStore
from runtime.canonical import sha256_of_json
from runtime.clock import Clock, epoch_s
from runtime.documents.store import DocumentStore
from runtime.inputs import is_known
from runtime.jobs.record import JobFacts, JobRecord, Status
from runtime.jobs.store import JobStore
from runtime.models.model_names import embedding_files
from runtime.request import JobRequest

FilesNamed = Callable[[], Mapping[str, str]]
"""What tells one file from another that was there before it, by the names that a workflow has for files."""


class ResultCache:
    """Knows, for `ttl_s` seconds each, which job of a tenant was the first of its kind. With 0 it knows nothing.

    The same are: workflow, overrides, inputs by their content, engine, output format, and every file of a model, or of
    INPUT_PATH, that the workflow names, the textual inversions in a prompt too. An input by an address is of unknown
    content, and its request is like no other.
    """

    def __init__(
        self,
        documents: DocumentStore,
        jobs: JobStore,
        artifacts: ArtifactStore,
        files: FilesNamed,
        *,
        clock: Clock,
        ttl_s: int,
    ) -> None:
        self._documents = documents
        self._jobs = jobs
        self._artifacts = artifacts
        self._files = files
        self._clock = clock
        self._ttl_s = ttl_s

    @property
    def is_on(self) -> bool:
        return self._ttl_s > 0

    def find(self, facts: JobFacts, request: JobRequest) -> JobRecord | None:
        """A job that completed for the same request within the time; else None, and that of `facts` may become it.

        Not one whose files are gone, nor another request's that has the id now.
        """
        if not self.is_on or not _is_known(request):
            return None
        tenant = facts.tenant
        name = _digest(request, self._files())
        known = self._documents.get(_collection(tenant), name)
        if known is not None:
            record = self._jobs.get(tenant, known.value["job_id"])
            is_same = record is not None and record.request_sha256 == known.value.get("request_sha256")
            if record is not None and is_same and self._is_fresh(record) and self._is_whole(record):
                return record
        now = int(self._clock.wall())
        first = {"job_id": facts.job_id, "request_sha256": facts.request_sha256}
        self._documents.put(_collection(tenant), name, first, expires_at=now + 2 * self._ttl_s)
        return None

    def _is_fresh(self, record: JobRecord) -> bool:
        if record.status is not Status.COMPLETED or record.finished_at is None or not record.outputs:
            return False
        return self._clock.wall() - epoch_s(record.finished_at) < self._ttl_s

    def _is_whole(self, record: JobRecord) -> bool:
        return all(self._artifacts.stat(output.key) is not None for output in record.outputs)


def _is_known(request: JobRequest) -> bool:
    """Whether the content of all inputs is. A request that wants a webhook is run: its worker is who calls it."""
    return request.webhook is None and all(map(is_known, request.images))


def _digest(request: JobRequest, files: Mapping[str, str]) -> str:
    texts = set(_texts([request.workflow, request.overrides]))
    texts.update(file for text in list(texts) for file in embedding_files(text))
    return sha256_of_json(
        {
            "workflow": request.workflow,
            "overrides": request.overrides,
            "images": [[image.name, image.image] for image in request.images],
            "output": [request.output.format, request.output.quality],
            "engine": request.engine,
            "pnginfo": request.extra_pnginfo,
            "files": {name: identity for name, identity in files.items() if name in texts},
        }
    )


def _texts(value: Any) -> Iterator[str]:
    """Every text within the value."""
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, Mapping):
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item


def _collection(tenant: str) -> str:
    return f"results {tenant}"
