"""Removes what jobs left in the artifact store that none of them names any more."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import groupby, islice
from typing import Any

from runtime.artifacts.store import Artifact, ArtifactStore
from runtime.clock import Clock
from runtime.jobs.record import JobKey, JobRecord
from runtime.jobs.store import JobStore

SAFE_AGE_S = 3600.0
"""What is younger is left alone: a worker that lost its job may still be at work on it."""
ROUND_EVERY_S = 3600.0
FILES_A_SWEEP = 2000
STATE = "sweeps/orphans.json"
"""Where the round is: which file each prefix was looked through to, and when the next round begins."""

_PREVIEWS = "previews/"
_PREFIXES = ("outputs/", "requests/", "details/", _PREVIEWS)


class Orphans:
    """Looks through the jobs' files, some at a time, and once an hour from the beginning.

    Removed are, once they are SAFE_AGE_S old: outputs of a job that has ended which its record does not name, details
    of such a job that are not its last claim's, the preview of a job that has ended or is no more, and requests and
    details of a job that is no more. Outputs of a job that is no more stay: they may be what it completed with, and how
    long those are kept is the bucket's own rule. So do requests that clients have put there
    (`requests/TENANT/NAME.json`): they may wait in a queue for their jobs.
    Two at once do no harm. The jobs of one artifact store must be in the one job store that is asked for them.
    """

    def __init__(self, *, jobs: JobStore, artifacts: ArtifactStore, clock: Clock) -> None:
        self._jobs = jobs
        self._artifacts = artifacts
        self._clock = clock

    def remove_some(self) -> int:
        """Go on with the round, by FILES_A_SWEEP files of each kind, and answer how many files were removed."""
        now = self._clock.wall()
        state = self._state()
        if now < state.get("next_at", 0.0):
            return 0
        files = {
            prefix: [*islice(self._artifacts.list(prefix, after=state.get(prefix, "")), FILES_A_SWEEP)]
            for prefix in _PREFIXES
        }
        removed = sum(sum(self._remove(prefix, found, now=now)) for prefix, found in files.items())
        if any(len(found) == FILES_A_SWEEP for found in files.values()):
            state |= {prefix: found[-1].key for prefix, found in files.items() if found}
        else:
            state = {"next_at": now + ROUND_EVERY_S}
        self._artifacts.put(STATE, json.dumps(state).encode(), "application/json")
        return removed

    def _state(self) -> dict[str, Any]:
        data = self._artifacts.get(STATE)
        state: dict[str, Any] = json.loads(data) if data else {}
        return state

    def _remove(self, prefix: str, files: list[Artifact], *, now: float) -> Iterator[int]:
        """1 for every file that is removed; each job is read once."""
        old = (file for file in files if file.modified_at <= now - SAFE_AGE_S)
        for key, of_job in groupby(old, key=_job_of):
            if key is None:
                continue
            record = self._jobs.get(*key)
            for file in of_job:
                if _is_orphan(prefix, file.key, record):
                    self._artifacts.delete(file.key)
                    yield 1


def _job_of(file: Artifact) -> JobKey | None:
    """The job of `outputs|details|requests/TENANT/JOB/...`, or of `previews/TENANT/JOB.jpg`."""
    _, _, rest = file.key.partition("/")
    tenant, _, rest = rest.partition("/")
    job_id, slash, _ = rest.partition("/")
    if file.key.startswith(_PREVIEWS):
        job_id, slash = job_id.removesuffix(".jpg"), "/"
    return JobKey(tenant, job_id) if tenant and job_id and slash else None


def _is_orphan(prefix: str, key: str, record: JobRecord | None) -> bool:
    if record is None:
        return prefix != "outputs/"
    if not record.status.is_terminal:
        return False
    if prefix == "outputs/":
        return all(output.key != key for output in record.outputs)
    if prefix == _PREVIEWS:
        return True
    return prefix == "details/" and not key.endswith(f"/{record.fencing_token}.json")
