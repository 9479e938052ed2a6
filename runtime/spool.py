"""Ends of jobs whose store could not be reached when they ended, kept until it can."""

from __future__ import annotations

import json
import logging
import threading
from dataclasses import fields

from runtime.artifacts.store import ArtifactStore
from runtime.errors import LeaseLost, ServerlessError
from runtime.jobs.codec import from_document, to_document
from runtime.jobs.leases import Claim
from runtime.jobs.record import JobFacts, JobRecord, Outcome, Status
from runtime.jobs.store import JobStore

PREFIX = "spool/"

_log = logging.getLogger(__name__)


class Spool:
    """Where one worker keeps the ends that it could not write: the artifact store, else a folder on its volume."""

    def __init__(self, jobs: JobStore, artifacts: ArtifactStore, volume: ArtifactStore) -> None:
        self._jobs = jobs
        self._artifacts = artifacts
        self._volume = volume
        self._lock = threading.Lock()
        self._kept: list[tuple[ArtifactStore, str]] = []

    @property
    def is_empty(self) -> bool:
        """Whether this worker has nothing to write any more."""
        return not self._kept

    def keep(self, claim: Claim, outcome: Outcome) -> bool:
        """Keep how the job ended; False where neither place takes it."""
        key = f"{PREFIX}{claim.record.tenant}/{claim.record.job_id}/{claim.fencing_token}.json"
        data = _spooled(claim.record, outcome)
        for store in (self._artifacts, self._volume):
            try:
                store.put(key, data, "application/json")
            except ServerlessError as exc:
                _log.error("the end of job %s could not be spooled: %s", claim.record.job_id, exc.message)
                continue
            with self._lock:
                self._kept.append((store, key))
            return True
        return False

    def recover(self) -> None:
        """Take over what an earlier worker left on this volume."""
        found = [(self._volume, artifact.key) for artifact in self._volume.list(PREFIX)]
        with self._lock:
            self._kept += found

    def apply(self) -> None:
        """Write what is kept, and forget what is written. Raises StateUnavailable while the store is away."""
        with self._lock:
            for place in tuple(self._kept):
                if apply_one(self._jobs, *place):
                    self._kept.remove(place)


def apply_one(jobs: JobStore, artifacts: ArtifactStore, key: str) -> bool:
    """Write the end that lies under `key`, if it still counts, and take it out of the spool; False where it waits.

    It counts only while its fencing token is the job's highest; any other is dropped. May be called again, and side by
    side with others. Raises StateUnavailable while the store is away.
    """
    data = artifacts.get(key)
    if data is None:  # another process was faster
        return True
    try:
        record, outcome = _read(data)
    except (ValueError, KeyError, TypeError) as exc:
        _log.error("%s in the spool is no end of a job and was dropped: %r", key, exc)
        artifacts.delete(key)
        return True
    try:
        jobs.finish(Claim(record=record, lease_ends=0.0), outcome)
    except LeaseLost as exc:
        if _waits_for_another_attempt(jobs, record):
            return _finish_requeued(jobs, record, outcome)
        _log.warning("a spooled end was dropped: %s", exc.message)
    artifacts.delete(key)
    return True


def _waits_for_another_attempt(jobs: JobStore, record: JobRecord) -> bool:
    """Whether the job was requeued when its lease ran out, and nobody has begun it again."""
    now = jobs.get(*record.key)
    return now is not None and (now.status, now.fencing_token, now.created_at) == (
        Status.PENDING,
        record.fencing_token,
        record.created_at,
    )


def _finish_requeued(jobs: JobStore, record: JobRecord, outcome: Outcome) -> bool:
    """End the job in the place of its next attempt; False while that may not begin yet.

    What is left in the spool is dropped when it is come by again: the job has ended by then.
    """
    facts = JobFacts(**{field.name: getattr(record, field.name) for field in fields(JobFacts)})
    claim = jobs.claim(facts, worker_id=record.worker_id or "spool")
    if isinstance(claim, Claim):
        jobs.finish(claim, outcome)
    return False


def _read(data: bytes) -> tuple[JobRecord, Outcome]:
    spooled = json.loads(data)
    ended = from_document(spooled["ended"])
    outcome = Outcome(**{field.name: getattr(ended, field.name) for field in fields(Outcome)})
    return from_document(spooled["record"]), outcome


def _spooled(record: JobRecord, outcome: Outcome) -> bytes:
    ended = JobRecord(**{**vars(record), **vars(outcome)})
    return json.dumps({"record": to_document(record), "ended": to_document(ended)}).encode()
