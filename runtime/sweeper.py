"""Sets right what no worker is left to set right: jobs whose worker is gone, and what such a worker left behind."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from runtime.clock import Clock
from runtime.errors import ServerlessError
from runtime.jobs.record import JobKey, JobRecord
from runtime.jobs.store import DUE_SHARDS, JobStore

_log = logging.getLogger(__name__)

BUDGET_S = 45.0
"""A sweep begins nothing new after this long: what is left stays due, and a schedule of a minute is kept."""
DUE_PER_SHARD = 100


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What one sweep did, in jobs. `errors` are jobs that could not be dealt with now and stay due.

    `left_over` is whether there was more to do than a sweep's time or numbers allow.
    """

    requeued: int = 0
    ended: int = 0
    errors: int = 0
    left_over: bool = False

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in asdict(self).items() if value) or "nothing to do"


class Sweeper:
    """Called from a schedule, once a minute or so. Any number of sweepers may run beside each other and the workers."""

    def __init__(self, *, jobs: JobStore, clock: Clock, budget_s: float = BUDGET_S) -> None:
        self._jobs = jobs
        self._clock = clock
        self._budget_s = budget_s

    def sweep(self) -> Swept:
        """Move every job on that is overdue, within the time and numbers of one sweep.

        Idempotent: a job is moved by one sweeper, and once. Raises StateUnavailable where the store does not answer.
        """
        return _Sweep(self._jobs, self._clock, self._budget_s).run()


class _Sweep:
    """One sweep, and what it has counted so far."""

    def __init__(self, jobs: JobStore, clock: Clock, budget_s: float) -> None:
        self._jobs = jobs
        self._clock = clock
        self._ends_at = clock.monotonic() + budget_s
        self._counts: Counter[str] = Counter()
        self._left_over = False

    def run(self) -> Swept:
        for key in self._due():
            try:
                self._settle(key)
            except ServerlessError as exc:
                self._counts["errors"] += 1
                _log.warning("job %s stays due: %s", key.job_id, exc.message)
        return Swept(**self._counts, left_over=self._left_over)

    def _due(self) -> Iterator[JobKey]:
        for shard in range(DUE_SHARDS):
            keys = self._jobs.due(shard, limit=DUE_PER_SHARD)
            self._left_over = self._left_over or len(keys) == DUE_PER_SHARD
            for key in keys:
                if self._clock.monotonic() >= self._ends_at:
                    self._left_over = True
                    return
                yield key

    def _settle(self, key: JobKey) -> None:
        record = self._jobs.get(*key)
        if record is None:
            self._jobs.leave_due(key)
        elif not record.status.is_terminal:
            self._expire(record)

    def _expire(self, record: JobRecord) -> None:
        moved = self._jobs.expire(record)
        if moved is not None:
            self._counts["ended" if moved.status.is_terminal else "requeued"] += 1
