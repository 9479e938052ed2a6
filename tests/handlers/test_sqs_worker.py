"""The SQS worker as a process of its own, behind an SQS of moto's on loopback."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from moto.server import ThreadedMotoServer

from runtime.aws import AwsAccess
from runtime.build import build_artifacts, build_jobs, build_queues
from runtime.clock import SystemClock
from runtime.job_facts import facts_of
from runtime.jobs.record import JobRecord, Status
from runtime.queue.dispatcher import SqsDispatcher
from runtime.queue.messages import LARGEST_BYTES
from runtime.request import JobRequest
from runtime.settings import Settings

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "handlers.sqs_worker"]
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "eu-west-1"}
Graph = dict[str, Any]


@pytest.fixture(scope="module")
def environment(worker_settings: dict[str, str]) -> Iterator[dict[str, str]]:
    """A worker's environment with queues on a local SQS."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = {"SQS_ENDPOINT_URL": f"http://{host}:{port}"}
    urls = {
        variable: client(endpoint).create_queue(QueueName=name)["QueueUrl"]
        for variable, name in (
            ("SQS_QUEUE_URL_HIGH", "high"),
            ("SQS_QUEUE_URL", "normal"),
            ("SQS_QUEUE_URL_LOW", "low"),
            ("SQS_DEAD_LETTER_URL", "dead"),
        )
    }
    yield worker_settings | KEYS | endpoint | urls
    server.stop()


def client(environment: dict[str, str]) -> SQSClient:
    access = AwsAccess(region="eu-west-1", access_key_id="id", secret_access_key="secret")
    return access.session.client("sqs", endpoint_url=environment["SQS_ENDPOINT_URL"])


@pytest.fixture
def submit(environment: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Stores a job and sends it as the HTTP API does, and answers its id."""
    for name, value in KEYS.items():
        monkeypatch.setenv(name, value)
    settings = Settings.from_env(environment)
    dispatcher = SqsDispatcher(build_queues(settings))

    def send(job_id: str, workflow: Graph, **fields: Any) -> str:
        request, _ = JobRequest.parse({"workflow": workflow, **fields})
        facts = facts_of(
            request,
            tenant="default",
            job_id=job_id,
            dispatch=dispatcher.dispatch,
            max_bytes=settings.max_request_size,
            webhook=None,
        )
        jobs = build_jobs(settings, SystemClock(), build_artifacts(settings))
        jobs.create(facts, dispatch_by=SystemClock().wall() + dispatcher.within_s, request=request.to_text())
        jobs.close()
        dispatcher.send(facts.key, request)
        return job_id

    return send


def record_of(environment: dict[str, str], job_id: str) -> JobRecord:
    settings = Settings.from_env(environment)
    jobs = build_jobs(settings, SystemClock(), build_artifacts(settings))
    record = jobs.get("default", job_id)
    jobs.close()
    assert record is not None
    return record


def test_drain_runs_what_waits_and_ends(
    environment: dict[str, str], submit: Callable[..., str], picture: Graph
) -> None:
    small = submit("small", picture, priority="low")
    large = submit(
        "large", {**picture, "9": {"class_type": "EmptyImage", "inputs": {}, "_meta": {"title": "x" * LARGEST_BYTES}}}
    )
    sqs = client(environment)
    bare = sqs.send_message(QueueUrl=environment["SQS_QUEUE_URL"], MessageBody=json.dumps({"workflow": picture}))
    sqs.send_message(QueueUrl=environment["SQS_QUEUE_URL"], MessageBody="junk")
    drained = subprocess.run([*COMMAND, "--drain"], cwd=ROOT, env=environment, timeout=90, capture_output=True)
    assert drained.returncode == 0, drained.stderr
    ended = [record_of(environment, job_id).status for job_id in (small, large, bare["MessageId"])]
    assert ended == [Status.COMPLETED] * 3
    [dead] = sqs.receive_message(QueueUrl=environment["SQS_DEAD_LETTER_URL"])["Messages"]
    assert dead["Body"] == "junk"


def test_a_worker_that_is_told_to_end_hands_its_job_back(
    environment: dict[str, str], submit: Callable[..., str], slow: Callable[..., Graph], tmp_path: Path
) -> None:
    job_id = submit("slow", slow(steps=900, step_s=0.05))
    worker = subprocess.Popen(COMMAND, cwd=ROOT, env=environment)
    end = threading.Timer(60, worker.kill)  # what does not begin fails the test, and outlives it never
    end.start()
    while not (tmp_path / "steps").exists():
        assert worker.poll() is None
        threading.Event().wait(0.05)
    worker.send_signal(signal.SIGTERM)
    assert worker.wait() == 0
    end.cancel()
    record = record_of(environment, job_id)
    assert (record.status, record.attempt, record.handbacks) == (Status.PENDING, 0, 1)
    [message] = client(environment).receive_message(QueueUrl=environment["SQS_QUEUE_URL"])["Messages"]
    assert json.loads(message["Body"])["input"]["job_id"] == job_id


@pytest.mark.parametrize("missing", ["SQS_QUEUE_URL", "SQS_DEAD_LETTER_URL"])
def test_a_queue_that_is_not_named_ends_the_worker(environment: dict[str, str], missing: str) -> None:
    without = {name: value for name, value in environment.items() if name != missing}
    ended = subprocess.run(COMMAND, cwd=ROOT, env=without, timeout=60, capture_output=True, text=True)
    assert (ended.returncode, ended.stderr.count(f"{missing} is not set")) == (2, 1)
