"""The jobs of one endpoint and what may become of them; everything here lives on the server's event loop."""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

Status = Literal["IN_QUEUE", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"]

FINAL: frozenset[Status] = frozenset({"COMPLETED", "FAILED", "CANCELLED", "TIMED_OUT"})


@dataclass(kw_only=True)
class Job:
    """One job; times are seconds of `time.monotonic`."""

    id: str
    input: Any
    timeout_s: float | None = None
    status: Status = "IN_QUEUE"
    worker_id: str | None = None
    takes: int = 0
    output: Any = None
    error: str | None = None
    stopped_pod: bool = False
    progress: list[Any] = field(default_factory=list)
    stream: list[Any] = field(default_factory=list)
    queued_at: float = field(default_factory=time.monotonic)
    taken_at: float | None = None
    ended_at: float | None = None

    def to_wire(self) -> dict[str, Any]:
        """What `/status` answers: while the job runs, `output` is its latest progress update."""
        wire: dict[str, Any] = {"id": self.id, "status": self.status, "workerId": self.worker_id}
        if self.taken_at is not None:
            wire["delayTime"] = round((self.taken_at - self.queued_at) * 1000)
        if self.taken_at is not None and self.ended_at is not None:
            wire["executionTime"] = round((self.ended_at - self.taken_at) * 1000)
        output = self.progress[-1] if self.status == "IN_PROGRESS" and self.progress else self.output
        answers = {"output": output, "error": self.error}
        return wire | {name: value for name, value in answers.items() if value is not None}


@dataclass(frozen=True, kw_only=True)
class Ping:
    """One sign of life of a worker, or with `status` its word that it is unhealthy."""

    worker_id: str
    job_ids: tuple[str, ...]
    status: str | None
    check: str | None
    reason: str | None


class Endpoint:
    """Jobs queue here, workers take them; a state that is final never changes."""

    def __init__(self) -> None:
        self.jobs: dict[str, Job] = {}
        self.pings: list[Ping] = []
        self.stopped_workers: set[str] = set()
        self._stops: dict[str, list[str]] = {}
        self._seen: dict[str, float] = {}
        self._changed = asyncio.Condition()
        self._timeouts: set[asyncio.Future[None]] = set()

    async def submit(self, request: dict[str, Any], *, prefix: str = "") -> Job:
        """Queue a job; RunPod's own `policy.executionTimeout` is in milliseconds."""
        timeout_ms = request.get("policy", {}).get("executionTimeout")
        job = Job(
            id=f"{prefix}{uuid.uuid4()}-u1",
            input=request["input"],
            timeout_s=None if timeout_ms is None else timeout_ms / 1000,
        )
        self.jobs[job.id] = job
        await self.tell()
        return job

    async def take(self, worker_id: str, count: int, hold_s: float) -> list[Job]:
        """Up to `count` queued jobs, oldest first; waits up to `hold_s` seconds for the first."""
        self._seen[worker_id] = time.monotonic()
        await self.until(lambda: bool(self._takeable(worker_id)), hold_s)
        taken = self._takeable(worker_id)[:count]
        for job in taken:
            job.status, job.worker_id, job.taken_at = "IN_PROGRESS", worker_id, time.monotonic()
            job.takes += 1
            if job.timeout_s is not None:
                asyncio.get_running_loop().call_later(job.timeout_s, self._time_out, job, job.takes)
        await self.tell()
        return taken

    async def report(self, worker_id: str, job_id: str, body: dict[str, Any]) -> None:
        """A progress update or the end of a job; either is too late once the job is another worker's or final."""
        job = self.jobs[job_id]
        if job.status == "IN_PROGRESS" and job.worker_id == worker_id:
            if body.get("status") == "IN_PROGRESS":
                job.progress.append(body.get("output"))
            else:
                job.output, job.error = body.get("output"), body.get("error")
                self._end(job, "FAILED" if job.error else "COMPLETED")
        if body.get("stopPod"):
            job.stopped_pod = True
            self.stopped_workers.add(worker_id)
        await self.tell()

    async def add_to_stream(self, job_id: str, chunk: Any) -> None:
        self.jobs[job_id].stream.append(chunk)
        await self.tell()

    async def cancel(self, job_id: str) -> Job:
        """End the job; the worker that has it is told through its stop channel."""
        self._stop(self.jobs[job_id], "CANCELLED")
        await self.tell()
        return self.jobs[job_id]

    async def stop_signals(self, worker_id: str, hold_s: float) -> list[str]:
        """The jobs that `worker_id` shall stop, each told once; waits up to `hold_s` seconds for the first."""
        await self.until(lambda: worker_id in self._stops, hold_s)
        return self._stops.pop(worker_id, [])

    async def ping(self, ping: Ping) -> None:
        self._seen[ping.worker_id] = time.monotonic()
        self.pings.append(ping)
        await self.tell()

    async def abandon(self, worker_id: str) -> None:
        """Queue again what a worker had that is gone."""
        for job in self.jobs.values():
            if job.worker_id == worker_id and job.status == "IN_PROGRESS":
                job.status, job.worker_id = "IN_QUEUE", None
        await self.tell()

    async def abandon_silent(self, lost_after_s: float) -> None:
        """Queue again what workers had of which nothing was heard for `lost_after_s` seconds, as RunPod does."""
        now = time.monotonic()
        busy = {job.worker_id for job in self.jobs.values() if job.status == "IN_PROGRESS"}
        for worker_id in filter(None, busy):
            if now - self._seen.get(worker_id, now) >= lost_after_s:
                await self.abandon(worker_id)

    async def purge(self) -> int:
        """Drop what waits, and answer how many jobs that were."""
        waiting = [job for job in self.jobs.values() if job.status == "IN_QUEUE"]
        for job in waiting:
            del self.jobs[job.id]
        return len(waiting)

    def counts(self) -> dict[str, dict[str, int]]:
        """What `/health` answers."""
        statuses = [job.status for job in self.jobs.values()]
        busy = {job.worker_id for job in self.jobs.values() if job.status == "IN_PROGRESS"}
        alive = {ping.worker_id for ping in self.pings if ping.status != "unhealthy"} | busy
        unhealthy = {ping.worker_id for ping in self.pings if ping.status == "unhealthy"}
        return {
            "jobs": {
                "completed": statuses.count("COMPLETED"),
                "failed": statuses.count("FAILED") + statuses.count("TIMED_OUT"),
                "inProgress": statuses.count("IN_PROGRESS"),
                "inQueue": statuses.count("IN_QUEUE"),
                "retried": sum(max(job.takes - 1, 0) for job in self.jobs.values()),
            },
            "workers": {"idle": len(alive - busy), "running": len(busy), "unhealthy": len(unhealthy)},
        }

    async def until(self, holds: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until `holds()`, at most `timeout_s` seconds; whether it does."""
        try:
            async with self._changed:
                await asyncio.wait_for(self._changed.wait_for(holds), timeout_s)
        except asyncio.TimeoutError:
            return False
        return True

    async def tell(self) -> None:
        """Wake whoever waits for a change."""
        async with self._changed:
            self._changed.notify_all()

    def _takeable(self, worker_id: str) -> list[Job]:
        if worker_id in self.stopped_workers:
            return []
        return [job for job in self.jobs.values() if job.status == "IN_QUEUE"]

    def _stop(self, job: Job, status: Status) -> None:
        if job.status in FINAL:
            return
        if job.worker_id is not None:
            self._stops.setdefault(job.worker_id, []).append(job.id)
        self._end(job, status)

    def _time_out(self, job: Job, take: int) -> None:
        if job.takes == take and job.status == "IN_PROGRESS":
            job.error = f"job timed out after {job.timeout_s:g} s"
            self._stop(job, "TIMED_OUT")
            telling = asyncio.ensure_future(self.tell())
            self._timeouts.add(telling)
            telling.add_done_callback(self._timeouts.discard)

    @staticmethod
    def _end(job: Job, status: Status) -> None:
        job.status, job.ended_at = status, time.monotonic()
