"""Run jobs while workers are killed, AWS is unwell and clocks disagree; each must end once, in its right state.

    python -m scripts.bench.chaos [--jobs 500] [--workers 4] [--seed 1]

Real worker processes of `handlers.sqs_worker` and `handlers.runpod_worker`, half of the jobs each. DynamoDB, S3 and
SQS are moto's behind a proxy that errs, throttles, hangs and loses answers; RunPod is the tests' local endpoint, which
delivers again what a dead worker had. For leases and queues time passes several times as fast: a lost lease costs
seconds.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.aws import AwsAccess
from runtime.build import build_artifacts, build_jobs, build_queues, build_sweeper
from runtime.errors import ServerlessError
from runtime.job_facts import facts_of
from runtime.jobs.record import JobKey, JobRecord, Status
from runtime.jobs.table import create_table
from runtime.queue.dispatcher import SqsDispatcher
from runtime.request import JobRequest
from runtime.settings import Settings
from scripts.bench.aws_proxy import AwsProxy, proxied
from scripts.bench.chaos_jobs import TENANT, Planned, faults_of, plan
from scripts.bench.fast_clock import FastClock

ROOT = Path(__file__).resolve().parents[2]
HANDLERS = ROOT / "tests" / "handlers"
sys.path.insert(0, str(HANDLERS))  # for runpod_server, the local endpoint

if TYPE_CHECKING:
    from runpod_server import RunPodServer

_KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}
_QUEUES = {
    "SQS_QUEUE_URL_HIGH": "high",
    "SQS_QUEUE_URL": "normal",
    "SQS_QUEUE_URL_LOW": "low",
    "SQS_DEAD_LETTER_URL": "dead",
}
_SKEW_S = 4.0
_PLATFORMS = ("sqs", "runpod")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How rough it gets: a worker is killed every `kill_every_s` seconds, `kills` times at most."""

    jobs: int
    workers: int
    seed: int
    kill_every_s: float
    kills: int
    fault_rate: float = 0.04
    speed: float = 5.0
    limit_s: float = 600.0


@dataclass(kw_only=True)
class Report:
    """What came of it. `wrong` names each job that did not end as it must, and why."""

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
    left_in_queues: int = 0
    dead_letters: int = 0

    def lines(self) -> Iterator[str]:
        yield f"{self.jobs} jobs in {self.seconds:.0f} s: {dict(self.ends)}, {len(self.wrong)} wrong"
        yield f"{self.claims} claims, {self.handbacks} of them handed back, at most {self.most_claims} of one job"
        yield f"{self.workers_started} workers started, {dict(self.signals)}"
        yield f"{sum(self.faults.values())} of {self.requests} requests to AWS met a fault: {dict(self.faults)}"
        yield f"{self.left_in_queues} messages left in the queues, {self.dead_letters} dead letters"
        yield from (f"{job_id}: {'; '.join(reasons)}" for job_id, reasons in self.wrong.items())


def main() -> None:
    """Run it and print the figures; the status is 1 if a job is wrong."""
    parser = argparse.ArgumentParser(description="Jobs through killed workers, an unwell AWS and clocks that disagree.")
    parser.add_argument("--jobs", type=int, default=500)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kill-every", type=float, default=6.0, metavar="SECONDS")
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--limit", type=float, default=900.0, metavar="SECONDS")
    arguments = parser.parse_args()
    report = run(
        Plan(
            jobs=arguments.jobs,
            workers=arguments.workers,
            seed=arguments.seed,
            kill_every_s=arguments.kill_every,
            kills=arguments.kills,
            limit_s=arguments.limit,
        )
    )
    print(*report.lines(), sep="\n")
    sys.exit(1 if report.wrong else 0)


def run(plan: Plan) -> Report:
    """Run the plan to its end, or to its limit: a job that has not ended then is wrong."""
    from runpod_server import RunPodServer

    clock = FastClock(start=time.time(), speed=plan.speed)
    os.environ.update(_KEYS)  # the run's own stores are AWS's too
    with contextlib.ExitStack() as life:
        folder = Path(life.enter_context(tempfile.TemporaryDirectory(prefix="chaos-")))
        aws = life.enter_context(_aws(clock))
        proxy = life.enter_context(proxied(aws, rate=0.0, seed=plan.seed, hang_s=6.0))
        server = life.enter_context(RunPodServer(stop_hold_s=0.5, lost_after_s=5.0))
        chaos = Chaos(plan, clock, folder, aws, proxy, server)
        life.callback(chaos.end_workers)
        return chaos.run()


@contextlib.contextmanager
def _aws(clock: FastClock) -> Iterator[str]:
    """The address of moto's AWS in a process of its own, whose queues keep `clock`."""
    command = [sys.executable, "-m", "scripts.bench.fast_clock", "aws"]
    environment = {**os.environ, **clock.to_env(skew_s=0.0)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdout is not None
        yield process.stdout.readline().decode().strip()
        process.kill()


@dataclass(frozen=True, kw_only=True)
class _Running:
    name: str
    platform: str
    process: subprocess.Popen[bytes]


class Chaos:
    """One run: its parts, its workers and what was seen of its jobs."""

    def __init__(
        self, plan: Plan, clock: FastClock, folder: Path, aws: str, proxy: AwsProxy, server: RunPodServer
    ) -> None:
        self._plan, self._clock, self._folder, self._proxy, self._server = plan, clock, folder, proxy, server
        self._draw = random.Random(plan.seed)
        self._report = Report(jobs=plan.jobs)
        self._workers: list[_Running] = []
        self._ended: dict[str, JobRecord] = {}
        _make_aws(aws)
        self._settings = Settings.from_env(self._environment(aws))
        self._unwell = self._environment(proxy.url)
        self._artifacts = build_artifacts(self._settings, clock)
        self._jobs = build_jobs(self._settings, clock, self._artifacts)

    def run(self) -> Report:
        planned = plan(self._plan.jobs, seed=self._plan.seed, log=str(self._folder / "steps"))
        for number in range(self._plan.workers):
            self._start(_PLATFORMS[number % 2])
        started = time.monotonic()
        self._submit(planned)
        self._proxy.rate = self._plan.fault_rate
        stopped = threading.Event()
        sweeping = threading.Thread(target=self._sweep, args=(stopped,))
        sweeping.start()
        try:
            self._watch(planned, started)
        finally:
            self._proxy.rate = 0.0
            stopped.set()
            sweeping.join()
        self._report.seconds = time.monotonic() - started
        self._settle(planned)
        return self._report

    def end_workers(self) -> None:
        for worker in self._workers:
            _kill(worker.process)

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
            **{variable: f"{aws}/123456789012/{name}" for variable, name in _QUEUES.items()},
            **_KEYS,
        }

    def _start(self, platform: str) -> None:
        """Start a worker whose clock is off by seconds of its own."""
        self._report.workers_started += 1
        name = f"{platform}-{self._report.workers_started}"
        environment = {**self._unwell, **self._clock.to_env(skew_s=self._draw.uniform(-_SKEW_S, _SKEW_S))}
        if platform == "runpod":
            environment |= self._server.worker_environment(name)
        log = (self._folder / f"{name}.log").open("wb")
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.bench.fast_clock", platform],
            cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        log.close()
        self._workers.append(_Running(name=name, platform=platform, process=process))

    def _submit(self, planned: Sequence[Planned]) -> None:
        """Half of SQS's jobs are stored before they are sent, as the HTTP API does; the others come as they are."""
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
            webhook=None,
            max_bytes=self._settings.max_request_size,
        )
        self._jobs.create(facts, dispatch_by=self._clock.wall() + 86_400, request=request.to_text())

    def _watch(self, planned: Sequence[Planned], started: float) -> None:
        """Kill workers, start others in their place, ask for cancels, until every job has ended."""
        waiting = {job.job_id: job for job in planned}
        next_kill = started + self._plan.kill_every_s
        while waiting and time.monotonic() < started + self._plan.limit_s:
            if time.monotonic() >= next_kill and sum(self._report.signals.values()) < self._plan.kills:
                self._kill_one()
                next_kill += self._plan.kill_every_s
            self._replace_dead()
            for job_id in self._draw.sample(sorted(waiting), min(len(waiting), 20)):
                if self._look(waiting[job_id]):
                    del waiting[job_id]
            threading.Event().wait(0.1)

    def _look(self, job: Planned) -> bool:
        """Whether the job has ended; asks for its cancel when its time has come."""
        record = self._jobs.get(TENANT, job.job_id)
        if record is None:
            return False
        if record.status.is_terminal:
            self._ended[job.job_id] = record
            return True
        if job.cancel_while is not None and record.status in (job.cancel_while, Status.RUNNING):
            self._jobs.request_cancel(TENANT, job.job_id)
        return False

    def _kill_one(self) -> None:
        worker = self._draw.choice(self._workers)
        number = self._draw.choice((signal.SIGKILL, signal.SIGTERM))
        self._report.signals[number.name] += 1
        if number is signal.SIGKILL:
            _kill(worker.process)
        else:
            worker.process.send_signal(number)

    def _replace_dead(self) -> None:
        for worker in [worker for worker in self._workers if worker.process.poll() is not None]:
            _kill(worker.process)  # what it left of children
            self._workers.remove(worker)
            self._start(worker.platform)

    def _sweep(self, stopped: threading.Event) -> None:
        sweeper = build_sweeper(Settings.from_env(self._unwell), clock=self._clock)
        while not stopped.wait(2.0):
            with contextlib.suppress(ServerlessError):  # an unwell AWS is asked again the next time
                sweeper.sweep()

    def _settle(self, planned: Sequence[Planned]) -> None:
        """Wait until the queues are empty too, then hold every job against its plan."""
        report = self._report
        deadline = time.monotonic() + 30
        while (waiting := self._messages()) and time.monotonic() < deadline:
            threading.Event().wait(0.5)
        report.left_in_queues = waiting
        report.dead_letters = _count("dead", self._settings)
        for job in planned:
            record = self._jobs.get(TENANT, job.job_id)
            reasons = [*faults_of(job, record, self._artifacts)]
            if record is not None and record != self._ended.get(job.job_id):
                reasons.append("changed after its end, or has none")
            if reasons:
                report.wrong[job.job_id] = [f"{job.platform} {job.kind}", *reasons]
            if record is not None:
                report.ends[record.status.value] += 1
                report.claims += record.fencing_token
                report.handbacks += record.handbacks
                report.most_claims = max(report.most_claims, record.fencing_token)
        report.requests, report.faults = self._proxy.requests, self._proxy.faults

    def _messages(self) -> int:
        return sum(_count(name, self._settings) for name in ("high", "normal", "low"))


def _make_aws(url: str) -> None:
    session = AwsAccess(region="us-east-1").session
    create_table(session.client("dynamodb", endpoint_url=url), "jobs")
    session.client("s3", endpoint_url=url).create_bucket(Bucket="pictures")
    for name in _QUEUES.values():
        session.client("sqs", endpoint_url=url).create_queue(QueueName=name)


def _count(queue: str, settings: Settings) -> int:
    """The messages of a queue, in sight or not."""
    url = settings.sqs_endpoint_url
    client = AwsAccess(region="us-east-1").session.client("sqs", endpoint_url=url)
    found = client.get_queue_attributes(QueueUrl=f"{url}/123456789012/{queue}", AttributeNames=["All"])["Attributes"]
    return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the worker and its children, as the loss of a container does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    main()
