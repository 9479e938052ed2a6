"""Limits on what an account has at work, and on the GPU seconds that it uses in a day."""

from __future__ import annotations

import sys
import threading

from runtime.api.errors import RateLimited
from runtime.clock import Clock, epoch_s
from runtime.documents.store import Document, DocumentStore
from runtime.jobs.record import JobKey
from runtime.jobs.store import JobStore

_DAY_S = 86_400
_RETRY_S = 5
_PAGE = 100
_LOCKS = 64
_KEPT_WITHIN_S = 60  # from its admission to its record: what is not there by then was refused for something else
_LONGEST_JOB_S = 2 * _DAY_S


class Quotas:
    """Knows an account's jobs that were let in and have not been found ended; 0 for no limit.

    With a limit, letting a job in costs a read for each of those. What a job used is counted once it is found ended,
    so that jobs at work may take an account over its seconds, and the next one is refused. Calls at the same time are
    let in one after the other by one instance; several instances may each let one in too many.
    """

    def __init__(
        self, documents: DocumentStore, jobs: JobStore, *, clock: Clock, max_running: int, max_gpu_s_per_day: float
    ) -> None:
        self._documents = documents
        self._jobs = jobs
        self._clock = clock
        self._max_running = max_running
        self._max_gpu_s = max_gpu_s_per_day
        self._one_at_a_time = [threading.Lock() for _ in range(_LOCKS)]

    @property
    def is_on(self) -> bool:
        return bool(self._max_running or self._max_gpu_s)

    def admit(self, tenant: str, job_ids: list[str]) -> None:
        """Let jobs in, all or none; one that is at work already counts once. Raises RateLimited."""
        if not self.is_on:
            return
        with self._one_at_a_time[hash(tenant) % len(self._one_at_a_time)]:
            self._admit(tenant, job_ids)

    def _admit(self, tenant: str, job_ids: list[str]) -> None:
        at_work = self._at_work(tenant)
        new = [job_id for job_id in job_ids if job_id not in at_work]
        if self._max_running and new and len(at_work) + len(new) > self._max_running:
            raise RateLimited(
                f"{len(at_work)} jobs of this account wait or run; {self._max_running} may (MAX_RUNNING_JOBS)",
                retry_after_s=_RETRY_S,
            )
        now = self._clock.wall()
        used_s = self._used_ms(tenant, now, 0) / 1000
        if self._max_gpu_s and used_s >= self._max_gpu_s:
            raise RateLimited(
                f"this account has used {used_s:.0f} GPU seconds today; {self._max_gpu_s:g} may be used in a day (UTC)",
                retry_after_s=int(_DAY_S - now % _DAY_S) + 1,
            )
        for job_id in new:
            self._documents.put(_collection(tenant), job_id, {"since": now}, expires_at=int(now) + _LONGEST_JOB_S)

    def _at_work(self, tenant: str) -> set[str]:
        """The account's jobs that have not ended; those that have are counted and forgotten."""
        found: set[str] = set()
        after: str | None = None
        while page := self._documents.list(_collection(tenant), after=after, limit=_PAGE):
            found.update(entry.name for entry in page if not self._settle(tenant, entry))
            after = page[-1].name
        return found

    def _settle(self, tenant: str, entry: Document) -> bool:
        """Whether the job has ended, or was never kept; of several callers that find it so, one counts it."""
        record = self._jobs.get(*JobKey(tenant, entry.name))
        if record is None and self._clock.wall() - entry.value.get("since", 0) < _KEPT_WITHIN_S:
            return False
        if record is not None and not record.status.is_terminal:
            return False
        if self._documents.delete(_collection(tenant), entry.name) and record and record.finished_at:
            self._used_ms(tenant, epoch_s(record.finished_at), round(record.gpu_seconds * 1000))
        return True

    def _used_ms(self, tenant: str, time: float, more_ms: int) -> int:
        """The account's GPU milliseconds on the day of `time`, with `more_ms` added."""
        day = int(time // _DAY_S)
        ends = (day + 2) * _DAY_S
        name = f"gpu {day}"
        counted = self._documents.count(f"usage {tenant}", name, amount=more_ms, at_most=sys.maxsize, expires_at=ends)
        return counted or 0


def _collection(tenant: str) -> str:
    return f"at work {tenant}"
