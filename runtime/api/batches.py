"""One workflow run with many sets of overrides: one job each, and one state for all."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.api.errors import Conflict, NotFound
from runtime.api.executions import Executions
from runtime.canonical import sha256_of_json
from runtime.clock import Clock, utc_text
from runtime.documents.store import ABSENT, DocumentStore
from runtime.errors import InvalidRequest
from runtime.graph.overrides import apply_overrides
from runtime.graph.ui.document import is_ui_format
from runtime.ids import new_job_id
from runtime.jobs.record import JobRecord
from runtime.request import JobRequest

MOST_JOBS = 200
LONGEST_ID = 56
"""With a number behind it, the id of a batch is a job's."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The jobs of a batch in the order of their overrides, those that are remembered still."""

    batch_id: str
    created_at: str
    total: int
    jobs: Sequence[JobRecord]

    @property
    def status(self) -> str:
        """`running` until the last job has ended; then `completed`, or `failed` where not every job completed."""
        if any(not job.status.is_terminal for job in self.jobs):
            return "running"
        return "completed" if self.by_status == {"completed": self.total} else "failed"

    @property
    def by_status(self) -> Mapping[str, int]:
        """How many jobs are in which state; `expired` those that are remembered no more."""
        counts = Counter(job.status.value for job in self.jobs)
        if len(self.jobs) < self.total:
            counts["expired"] = self.total - len(self.jobs)
        return dict(counts)


class Batches:
    """The batches of every tenant; what is kept of one is how many jobs it has and since when."""

    def __init__(self, executions: Executions, documents: DocumentStore, *, clock: Clock) -> None:
        self._executions = executions
        self._documents = documents
        self._clock = clock

    def submit(self, tenant: str, request: JobRequest, sets: Sequence[Mapping[str, Any]]) -> Batch:
        """Keep and queue one job for each of `sets`, laid over the request's own overrides; none if one is wrong.

        `request.job_id` names the batch: sent again, it is the same one. Raises Conflict where it names another.
        """
        now = self._clock.wall()
        batch_id = request.job_id or new_job_id(now)
        jobs = [_job(request, batch_id, number, each) for number, each in enumerate(sets)]
        _check(batch_id, jobs)
        self._executions.admit(tenant, [_job_id(batch_id, number) for number in range(len(jobs))])
        known = {"total": len(jobs), "created_at": utc_text(now), "sha256": _digest(jobs)}
        name = _collection(tenant)
        if (
            self._documents.put(name, batch_id, known, over=ABSENT, expires_at=int(now) + request.ttl_s + 86_400)
            is None
        ):
            found = self._documents.get(name, batch_id)
            if found is not None and found.value["sha256"] != known["sha256"]:
                raise Conflict(f"there is another batch {batch_id!r} already")
        for job in jobs:
            self._executions.submit(tenant, job, batch_id=batch_id)
        return self.find(tenant, batch_id)

    def find(self, tenant: str, batch_id: str) -> Batch:
        """The batch as its jobs stand now, at a read for each. Raises NotFound for one that is not the tenant's."""
        found = self._documents.get(_collection(tenant), batch_id)
        if found is None:
            raise NotFound(f"there is no batch {batch_id[:100]!r}")
        total = found.value["total"]
        jobs = [self._executions.look(tenant, _job_id(batch_id, number)) for number in range(total)]
        kept = [job for job in jobs if job is not None]
        return Batch(batch_id=batch_id, created_at=found.value["created_at"], total=total, jobs=kept)

    def cancel(self, tenant: str, batch_id: str) -> Batch:
        """Ask for the end of every job that has not ended. Raises NotFound."""
        for job in self.find(tenant, batch_id).jobs:
            if not job.status.is_terminal:
                self._executions.cancel(tenant, job.job_id)
        return self.find(tenant, batch_id)


def _job(request: JobRequest, batch_id: str, number: int, overrides: Mapping[str, Any]) -> JobRequest:
    given = {"job_id": _job_id(batch_id, number), "overrides": {**request.overrides, **overrides}}
    return request.model_copy(update=given)


def _check(batch_id: str, jobs: Sequence[JobRequest]) -> None:
    """Refuse the whole batch for what is wrong with one of its jobs, before any of them is kept."""
    if not 1 <= len(jobs) <= MOST_JOBS:
        raise InvalidRequest(f"overrides has {len(jobs)} sets; expected 1 to {MOST_JOBS}")
    if len(batch_id) > LONGEST_ID:
        raise InvalidRequest(f"job_id of a batch has {len(batch_id)} characters; expected at most {LONGEST_ID}")
    for number, job in enumerate(jobs):
        if isinstance(job.workflow, dict) and not is_ui_format(job.workflow):
            try:
                apply_overrides(job.workflow, job.overrides)
            except InvalidRequest as exc:
                raise InvalidRequest(f"set {number}: {exc.message}") from exc


def _digest(jobs: Sequence[JobRequest]) -> str:
    first = jobs[0].model_dump(mode="json", exclude={"job_id", "overrides"})
    try:
        return sha256_of_json([first, [job.overrides for job in jobs]])
    except (TypeError, ValueError, RecursionError) as exc:
        raise InvalidRequest(f"the request is no plain JSON: {exc}") from exc


def _job_id(batch_id: str, number: int) -> str:
    return f"{batch_id}-{number}"


def _collection(tenant: str) -> str:
    return f"batches {tenant}"
