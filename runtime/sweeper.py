"""Sets right what no worker is left to set right: jobs whose worker is gone, its files, and webhooks not heard."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from types import MappingProxyType

from runtime.api.dispatch.dispatcher import Dispatcher
from runtime.artifacts.store import ArtifactStore
from runtime.clock import Clock
from runtime.errors import ServerlessError
from runtime.jobs.record import JobKey, JobRecord, Status
from runtime.jobs.store import DUE_SHARDS, JobStore
from runtime.orphans import Orphans
from runtime.request import JobRequest
from runtime.spool import PREFIX as SPOOL
from runtime.spool import apply_one
from runtime.webhooks.courier import Courier

_log = logging.getLogger(__name__)

BUDGET_S = 45.0
"""A sweep begins nothing new after this long: what is left stays due, and a schedule of a minute is kept."""
PAGE = 100
"""So many due jobs are taken of one shard before the next has its turn."""
CALLERS = 16
"""How many webhooks are called at a time: a receiver that does not answer holds up one of them."""


@dataclass(frozen=True, kw_only=True)
class Swept:
    """What one sweep did, in jobs; `orphans_removed` in files.

    `sent_again` are jobs that a dispatcher brought to a worker again; `spooled` ends that a worker could not write and
    the sweep did, or dropped; `errors` what could not be dealt with now. `left_over` is whether there was more to do
    than a sweep's time or numbers allow.
    """

    requeued: int = 0
    sent_again: int = 0
    ended: int = 0
    spooled: int = 0
    orphans_removed: int = 0
    webhooks_delivered: int = 0
    webhooks_failed: int = 0
    webhooks_given_up: int = 0
    errors: int = 0
    left_over: bool = False

    def __str__(self) -> str:
        told = [f"{name.replace('_', ' ')} {value}" for name, value in asdict(self).items() if value]
        return ", ".join(told).replace("left over True", "more is left over") or "nothing to do"


class Sweeper:
    """Called from a schedule, once a minute or so. Any number of sweepers may run beside each other and the workers.

    Without a `courier` webhooks stay due; without `artifacts` nothing that lies there is looked at. A job that lost its
    worker, or waits for another, is sent again by the one of `dispatchers` that its record names as its backend; those
    of any other are left to their platform.
    """

    def __init__(
        self,
        *,
        jobs: JobStore,
        clock: Clock,
        artifacts: ArtifactStore | None = None,
        courier: Courier | None = None,
        dispatchers: Mapping[str, Dispatcher] = MappingProxyType({}),
        budget_s: float = BUDGET_S,
    ) -> None:
        self._jobs = jobs
        self._clock = clock
        self._artifacts = artifacts
        self._courier = courier
        self._dispatchers = dispatchers
        self._budget_s = budget_s

    def sweep(self) -> Swept:
        """Move every job on that is overdue, within the time and numbers of one sweep.

        Idempotent: a job is moved by one sweeper, and once. Raises StateUnavailable where the job store does not
        answer, StorageUnavailable where the spool cannot be looked at.
        """
        sweep = _Sweep(self._jobs, self._clock, self._courier, self._dispatchers, self._budget_s)
        if self._artifacts is not None:
            sweep.apply_spooled(self._artifacts)
        sweep.settle_due()
        if self._artifacts is not None:
            sweep.remove_orphans(Orphans(jobs=self._jobs, artifacts=self._artifacts, clock=self._clock))
        return sweep.swept()


class _Sweep:
    """One sweep, and what it has counted so far."""

    def __init__(
        self,
        jobs: JobStore,
        clock: Clock,
        courier: Courier | None,
        dispatchers: Mapping[str, Dispatcher],
        budget_s: float,
    ) -> None:
        self._jobs = jobs
        self._clock = clock
        self._courier = courier
        self._dispatchers = dispatchers
        self._ends_at = clock.monotonic() + budget_s
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._left_over = False

    def apply_spooled(self, artifacts: ArtifactStore) -> None:
        """Before any lease is expired: the end of a job that has one here must not be taken for lost."""
        for artifact in artifacts.list(SPOOL):
            self._guarded(artifact.key, partial(self._apply, artifacts, artifact.key))

    def settle_due(self) -> None:
        with ThreadPoolExecutor(CALLERS, thread_name_prefix="webhook") as callers:
            for key in self._due():
                self._guarded(key.job_id, partial(self._settle, key, callers))

    def remove_orphans(self, orphans: Orphans) -> None:
        if not self._is_late():
            self._guarded("what nobody names", partial(self._remove, orphans))

    def swept(self) -> Swept:
        return Swept(**self._counts, left_over=self._left_over)

    def _apply(self, artifacts: ArtifactStore, key: str) -> None:
        if apply_one(self._jobs, artifacts, key):
            self._count("spooled")

    def _remove(self, orphans: Orphans) -> None:
        self._counts["orphans_removed"] += orphans.remove_some()

    def _due(self) -> Iterator[JobKey]:
        """Every due job once, a page of each shard in turn: many of one shard do not keep those of another waiting."""
        shards: Mapping[int, set[JobKey]] = {shard: set() for shard in range(DUE_SHARDS)}
        while shards and not self._is_late():
            rest = {}
            for shard, seen in shards.items():
                if (yield from self._page(shard, seen)):
                    rest[shard] = seen
            shards = rest

    def _page(self, shard: int, seen: set[JobKey]) -> Generator[JobKey, None, bool]:
        """The next jobs of a shard beyond those that were `seen`, and whether there may be more."""
        limit = len(seen) + PAGE
        keys = self._jobs.due(shard, limit=limit)
        fresh = [key for key in keys if key not in seen]
        for key in fresh[:PAGE]:
            if self._is_late():
                return False
            seen.add(key)
            yield key
        return len(keys) == limit or len(fresh) > PAGE

    def _is_late(self) -> bool:
        late = self._clock.monotonic() >= self._ends_at
        self._left_over = self._left_over or late
        return late

    def _settle(self, key: JobKey, callers: ThreadPoolExecutor) -> None:
        record = self._jobs.get(*key)
        if record is None:
            self._jobs.leave_due(key)
        elif not record.status.is_terminal:
            self._move_on(record)
        elif self._courier is not None:
            callers.submit(self._guarded, key.job_id, partial(self._deliver, record, self._courier))

    def _move_on(self, record: JobRecord) -> None:
        moved = self._jobs.expire(record)
        if moved is None:
            return
        if moved.status.is_terminal:
            self._count("ended")
            return
        if record.status is Status.RUNNING:
            self._count("requeued")
        self._send_again(moved)

    def _send_again(self, record: JobRecord) -> None:
        """Where this is not heard, or the sweep ends here, the job is due once more and sent then."""
        dispatcher = self._dispatchers.get(record.dispatch.backend) if record.dispatch else None
        request = self._jobs.request_of(*record.key) if dispatcher else None
        if dispatcher is not None and request is not None:
            dispatcher.send(record.key, JobRequest.parse(request)[0])
            self._count("sent_again")

    def _deliver(self, record: JobRecord, courier: Courier) -> None:
        held = None if self._is_late() else self._jobs.take_webhook(record)
        if held is not None:
            self._count(f"webhooks_{courier.deliver(held)}")

    def _guarded(self, name: str, act: Callable[[], None]) -> None:
        """One job that cannot be dealt with holds up no other."""
        try:
            act()
        except ServerlessError as exc:
            self._count("errors")
            _log.warning("%s is left over: %s", name, exc.message)
        except Exception:  # a defect that one job brings out is counted and shown, and the sweep goes on
            self._count("errors")
            _log.exception("%s is left over", name)

    def _count(self, name: str) -> None:
        with self._lock:
            self._counts[name] += 1
