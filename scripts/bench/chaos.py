"""Run jobs while workers are killed, AWS is unwell and clocks disagree; each must end once, in its right state.

    python -m scripts.bench.chaos [--jobs 500] [--workers 4] [--seed 1]

Real worker processes of `handlers.sqs_worker` and `handlers.runpod_worker`, half of the jobs each. DynamoDB, S3 and
SQS are moto's behind a proxy that errs, throttles, hangs and loses answers; RunPod is the tests' local endpoint, which
delivers again what a dead worker had; webhooks are verified by a receiver that refuses some. Some jobs kill every
worker that has them. For leases, queues and webhooks time passes several times as fast: a lost lease costs seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import os
import random
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.build import build_artifacts, build_jobs, build_queues, build_sweeper
from runtime.errors import ServerlessError
from runtime.fetch.access import WebAccess
from runtime.job_facts import facts_of
from runtime.jobs.record import JobKey, JobRecord, Status
from runtime.queue.dispatcher import SqsDispatcher
from runtime.request import JobRequest
from runtime.settings import Settings
from runtime.webhooks.target import target_of
from scripts.bench.aws_proxy import AwsProxy, proxied
from scripts.bench.chaos_aws import KEYS, QUEUES, job_ids_in, local_aws, message_count, queue_url
from scripts.bench.chaos_jobs import TENANT, Planned, faults_of, has_changed, plan
from scripts.bench.chaos_webhooks import SECRET, Receiver, receiving
from scripts.bench.chaos_workers import PLATFORMS, ROOT, Workers
from scripts.bench.fast_clock import FastClock

HANDLERS = ROOT / "tests" / "handlers"
sys.path.insert(0, str(HANDLERS))  # for runpod_server, the local endpoint

if TYPE_CHECKING:
    from runpod_server import RunPodServer

_SKEW_S = 4.0
_REFUSED_WEBHOOKS = 0.1


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How rough it gets: from the first claim on, a worker is killed every `kill_every_s` seconds, `kills` times.

    The run ends once nothing has moved for `stall_s` seconds. For leases time passes `speed` times as fast, less on a
    machine that has more to do than its processors can: there everything else takes longer too.
    """

    jobs: int
    workers: int
    seed: int
    kill_every_s: float
    kills: int
    poison_attempts: int = 3
    fault_rate: float = 0.04
    speed: float = 5.0
    lost_after_s: float = 5.0
    sweep_every_s: float = 2.0
    stall_s: float = 150.0


@dataclass(kw_only=True)
class Report:
    """What came of it. `wrong` names each job that did not end as it must, and why; `stalled` is what hung."""

    jobs: int
    seconds: float = 0.0
    wrong: dict[str, list[str]] = field(default_factory=dict)
    ends: Counter[str] = field(default_factory=Counter)
    claims: int = 0
    handbacks: int = 0
    most_claims: int = 0
    workers_started: int = 0
    signals: Counter[str] = field(default_factory=Counter)
    requests: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    webhooks: str = ""
    left_in_queues: int = 0
    dead_letters: set[str] = field(default_factory=set)
    stalled: list[str] = field(default_factory=list)

    def lines(self) -> Iterator[str]:
        yield f"{self.jobs} jobs in {self.seconds:.0f} s: {dict(self.ends)}, {len(self.wrong)} wrong"
        yield f"{self.claims} claims, {self.handbacks} of them handed back, at most {self.most_claims} of one job"
        yield f"{self.workers_started} workers started, {dict(self.signals)}"
        yield f"{sum(self.faults.values())} of {self.requests} requests to AWS met a fault: {dict(self.faults)}"
        yield f"webhooks: {self.webhooks}"
        yield f"{self.left_in_queues} messages left in the queues, dead letters of {len(self.dead_letters)} jobs"
        yield from (f"{job_id}: {'; '.join(reasons)}" for job_id, reasons in self.wrong.items())
        yield from self.stalled


def main() -> None:
    """Run it and print the figures; the status is 1 if a job is wrong."""
    parser = argparse.ArgumentParser(description="Jobs through killed workers, an unwell AWS and clocks that disagree.")
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kill-every", type=float, default=6.0, metavar="SECONDS")
    parser.add_argument("--kills", type=int, default=1_000)
    arguments = parser.parse_args()
    faulthandler.dump_traceback_later(3_600, exit=True)
    report = run(
        Plan(
            jobs=arguments.jobs,
            workers=arguments.workers,
            seed=arguments.seed,
            kill_every_s=arguments.kill_every,
            kills=arguments.kills,
        )
    )
    print(*report.lines(), sep="\n")
    sys.exit(1 if report.wrong or report.stalled else 0)


def run(plan: Plan) -> Report:
    """Run the plan until every job has ended and was told of, or until nothing moves any more."""
    from runpod_server import RunPodServer

    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    clock = FastClock(start=time.time(), speed=max(4.0, plan.speed / busy))
    os.environ.update(KEYS)  # the run's own stores are AWS's too
    with contextlib.ExitStack() as life:
        folder = Path(life.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        aws = life.enter_context(local_aws(clock, folder))
        proxy = life.enter_context(proxied(aws, rate=0.0, seed=plan.seed, hang_s=6.0))
        receiver = life.enter_context(receiving(refuses=_REFUSED_WEBHOOKS, seed=plan.seed))
        server = life.enter_context(RunPodServer(stop_hold_s=0.5, lost_after_s=plan.lost_after_s))
        chaos = Chaos(plan, clock, folder, aws, proxy, receiver, server)
        life.callback(chaos.workers.end)
        return chaos.run()


class Chaos:
    """One run: its parts, its workers and what was seen of its jobs."""

    def __init__(
        self,
        plan: Plan,
        clock: FastClock,
        folder: Path,
        aws: str,
        proxy: AwsProxy,
        receiver: Receiver,
        server: RunPodServer,
    ) -> None:
        self._plan, self._clock, self._folder, self._aws = plan, clock, folder, aws
        self._proxy, self._receiver, self._server = proxy, receiver, server
        self._draw = random.Random(plan.seed)
        self._ended: dict[str, JobRecord] = {}
        self._claims: dict[str, int] = {}
        self._settings = Settings.from_env(self._environment(aws))
        self._artifacts = build_artifacts(self._settings, clock)
        self._jobs = build_jobs(self._settings, clock, self._artifacts)
        self.workers = Workers(folder, self._worker_environment, self._draw)

    def run(self) -> Report:
        planned = plan(
            self._plan.jobs,
            seed=self._plan.seed,
            log=str(self._folder / "steps"),
            webhook=self._receiver.url,
            poison_attempts=self._plan.poison_attempts,
        )
        for number in range(self._plan.workers):
            self.workers.start(PLATFORMS[number % 2])
        started = time.monotonic()
        self._submit(planned)
        self._proxy.rate = self._plan.fault_rate
        stopped = threading.Event()
        sweeping = threading.Thread(target=self._sweep, args=(stopped,), name="sweeping", daemon=True)
        sweeping.start()
        stalled = self._watch(planned)
        seconds = time.monotonic() - started
        self._proxy.rate = 0.0
        stopped.set()
        sweeping.join(60)
        if sweeping.is_alive():
            stalled.append("a sweep does not end:\n" + _stack_of(sweeping))
        return self._report(planned, seconds, stalled)

    def _environment(self, aws: str) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "STORAGE_BASE_PATH": str(self._folder / "data"),
            "MODELS_PATH": str(self._folder / "models"),
            "NATIVE_NODES_PATH": str(HANDLERS / "native_nodes"),
            "DEVICE": "cpu",
            "OMP_NUM_THREADS": "1",
            "LOG_LEVEL": "WARNING",
            "DYNAMODB_TABLE": "jobs",
            "DYNAMODB_ENDPOINT_URL": aws,
            "S3_BUCKET": "pictures",
            "S3_ENDPOINT_URL": aws,
            "SQS_ENDPOINT_URL": aws,
            "WEBHOOK_SECRET": SECRET,
            "ALLOW_PRIVATE_URLS": "true",
            **{variable: queue_url(aws, name) for variable, name in QUEUES.items()},
            **KEYS,
        }

    def _worker_environment(self, platform: str, name: str) -> Mapping[str, str]:
        """Of a worker whose clock is off by seconds of its own."""
        skew_s = self._draw.uniform(-_SKEW_S, _SKEW_S)
        environment = {**self._environment(self._proxy.url), **self._clock.to_env(skew_s=skew_s)}
        return environment | (self._server.worker_environment(name) if platform == "runpod" else {})

    def _submit(self, planned: Sequence[Planned]) -> None:
        """Some of SQS's jobs are stored before they are sent, as the HTTP API does; the others come as they are."""
        queues = build_queues(self._settings)
        dispatcher = SqsDispatcher(queues)
        for number, job in enumerate(planned):
            request, _ = JobRequest.parse(job.request)
            for _ in range(job.deliveries):
                if job.platform == "runpod":
                    self._server.submit(job.request)
                elif number % 4:
                    queues.send(request.priority, json.dumps({"input": job.request}), tenant=TENANT)
                else:
                    self._store(request, dispatcher)
                    dispatcher.send(JobKey(TENANT, job.job_id), request)

    def _store(self, request: JobRequest, dispatcher: SqsDispatcher) -> None:
        facts = facts_of(
            request,
            tenant=TENANT,
            job_id=request.job_id or "",
            dispatch=dispatcher.dispatch,
            webhook=target_of(request, WebAccess(allow_private=True), self._settings.webhook_signer),
            max_bytes=self._settings.max_request_size,
        )
        self._jobs.create(facts, dispatch_by=self._clock.wall() + 86_400, request=request.to_text())

    def _watch(self, planned: Sequence[Planned]) -> list[str]:
        """Kill workers, start others, ask for cancels, until all is done; answers what hangs, where nothing moves."""
        open_jobs = {job.job_id: job for job in planned}
        moved_at, seen, kill_at = time.monotonic(), "", None
        while not self._is_done(open_jobs, planned):
            now = time.monotonic()
            if self._claims and kill_at is None:
                kill_at = now + self._plan.kill_every_s
            if kill_at is not None and now >= kill_at and sum(self.workers.signals.values()) < self._plan.kills:
                self.workers.kill_one()
                kill_at = now + self._plan.kill_every_s
            self.workers.replace_dead()
            for job_id in self._draw.sample(sorted(open_jobs), min(len(open_jobs), 20)):
                if self._look(open_jobs[job_id]):
                    del open_jobs[job_id]
            moves = f"{len(open_jobs)} {sum(self._claims.values())} {len(self._receiver.heard)} {self._left()}"
            if moves != seen:
                moved_at, seen = now, moves
            elif now - moved_at > self._plan.stall_s:
                return [f"nothing has moved for {self._plan.stall_s:g} s: {moves}", *self._states(open_jobs)]
            threading.Event().wait(0.1)
        return []

    def _is_done(self, open_jobs: Mapping[str, Planned], planned: Sequence[Planned]) -> bool:
        """Whether every job has ended and was told of, and no message is left."""
        return not open_jobs and len(self._receiver.heard) == len(planned) and self._left() == 0

    def _left(self) -> int:
        return sum(message_count(self._aws, name) for name in ("high", "normal", "low"))

    def _look(self, job: Planned) -> bool:
        """Whether the job has ended; asks for its cancel when its time has come."""
        record = self._jobs.get(TENANT, job.job_id)
        if record is None:
            return False
        self._claims[job.job_id] = record.fencing_token
        if record.status.is_terminal:
            self._ended[job.job_id] = record
            return True
        if job.cancel_while is not None and record.status in (job.cancel_while, Status.RUNNING):
            self._jobs.request_cancel(TENANT, job.job_id)
        return False

    def _states(self, open_jobs: Mapping[str, Planned]) -> Iterator[str]:
        for job in open_jobs.values():
            yield f"{job.job_id} ({job.platform} {job.kind}): {self._jobs.get(TENANT, job.job_id)}"
        endpoint = self._server.jobs()
        yield from (f"RunPod: {job.input['job_id']} {job.to_wire()}" for job in endpoint if job.ended_at is None)
        yield from self.workers.states()
        yield from (_stack_of(thread) for thread in threading.enumerate() if thread.name == "sweeping")

    def _sweep(self, stopped: threading.Event) -> None:
        sweeper = build_sweeper(Settings.from_env(self._environment(self._proxy.url)), clock=self._clock)
        while not stopped.wait(self._plan.sweep_every_s):
            with contextlib.suppress(ServerlessError):  # an unwell AWS is asked again the next time
                sweeper.sweep()

    def _report(self, planned: Sequence[Planned], seconds: float, stalled: list[str]) -> Report:
        """Hold every job against its plan."""
        report = Report(jobs=len(planned), seconds=seconds, stalled=stalled)
        report.left_in_queues = self._left()
        report.dead_letters = job_ids_in(self._aws, "dead")
        for job in planned:
            record = self._jobs.get(TENANT, job.job_id)
            reasons = [*faults_of(job, record, self._artifacts), *self._faults_beside(job, record, report)]
            if reasons:
                report.wrong[job.job_id] = [f"{job.platform} {job.kind}", *reasons]
            if record is not None:
                report.ends[record.status.value] += 1
                report.claims += record.fencing_token
                report.handbacks += record.handbacks
                report.most_claims = max(report.most_claims, record.fencing_token)
        report.workers_started, report.signals = self.workers.started, self.workers.signals
        report.requests, report.faults = self._proxy.requests, self._proxy.faults
        told = self._receiver
        report.webhooks = f"{len(told.heard)} jobs told of in {told.calls} calls, {told.refused} refused"
        if told.forged:
            report.wrong["webhooks"] = [f"{told.forged} of {told.calls} signatures do not hold"]
        return report

    def _faults_beside(self, job: Planned, record: JobRecord | None, report: Report) -> Iterator[str]:
        """What is wrong with the job anywhere but in its record."""
        first = self._ended.get(job.job_id)
        if record is not None and (first is None or has_changed(first, record)):
            yield "changed after its end, or has none"
        if self._receiver.heard.get(job.job_id) != job.end.value:
            yield f"its webhook told {self._receiver.heard.get(job.job_id)}"
        is_put_aside = job.kind == "poison" and job.platform == "sqs"
        if (job.job_id in report.dead_letters) != is_put_aside:
            yield "is a dead letter" if not is_put_aside else "is no dead letter"


def _stack_of(thread: threading.Thread) -> str:
    frame = sys._current_frames().get(thread.ident or 0)
    return "".join([f"thread {thread.name}:\n", *traceback.format_stack(frame)]) if frame else ""


if __name__ == "__main__":
    main()
