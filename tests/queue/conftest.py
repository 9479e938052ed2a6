"""Queues on moto, in this process, and a GPU thread whose worker answers what a test tells it to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from runtime.aws import AwsAccess
from runtime.cancellation import CancelFlag
from runtime.clock import ManualClock
from runtime.gpu_thread import GpuThread
from runtime.jobs.record import Dispatch
from runtime.progress import ProgressSink
from runtime.queue.consumer import Consumer
from runtime.queue.sqs import SqsQueues
from runtime.reference import RequestReference
from runtime.request import JobRequest
from runtime.result import JobResult

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

    from runtime.retries import Requeue

ACCESS = AwsAccess(region="eu-west-1", access_key_id="AKIDTEST", secret_access_key="not-a-secret")


class ScriptedWorker:
    """Answers each job by the next of `answers`, the last one again and again, and keeps what it was asked."""

    def __init__(self, answers: Sequence[dict[str, Any] | Callable[[CancelFlag], dict[str, Any]]]) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[JobRequest | RequestReference, Dispatch | None, Requeue, str | None]] = []
        self.rested: SimpleQueue[None] = SimpleQueue()

    def run(
        self,
        request: JobRequest | RequestReference,
        *,
        cancel: CancelFlag,
        on_progress: ProgressSink,
        dispatch: Dispatch | None,
        requeue: Requeue,
        tenant: str | None,
    ) -> JobResult:
        self.asked.append((request, dispatch, requeue, tenant))
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return JobResult(job_id=request.job_id or "", **(answer(cancel) if callable(answer) else answer))

    def rest(self) -> None:
        self.rested.put(None)

    def close(self) -> None:
        pass


@pytest.fixture
def sqs() -> Iterator[SQSClient]:
    with mock_aws():
        yield boto3.client("sqs", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="y")


@pytest.fixture
def urls(sqs: SQSClient) -> dict[str, str]:
    names = ("high", "normal", "low", "dead")
    return {name: sqs.create_queue(QueueName=name)["QueueUrl"] for name in names}


@pytest.fixture
def queues(urls: dict[str, str]) -> SqsQueues:
    return SqsQueues(
        {"high": urls["high"], "normal": urls["normal"], "low": urls["low"]},
        dead_letter_url=urls["dead"],
        access=ACCESS,
    )


class Desk:
    """Queues, a consumer of them whose worker answers by a script, and a clock that a test moves."""

    def __init__(self, queues: SqsQueues, sqs: SQSClient, urls: dict[str, str], life: contextlib.ExitStack) -> None:
        self.queues, self.sqs, self.urls = queues, sqs, urls
        self.clock = ManualClock()
        self._life = life

    def consumer(self, *answers: dict[str, Any] | Callable[[CancelFlag], dict[str, Any]]) -> Consumer:
        self.worker = worker = ScriptedWorker(answers)
        gpu = self._life.enter_context(GpuThread(lambda: worker))
        return Consumer(self.queues, gpu, tenant="own", clock=self.clock)

    def send(self, body: str, queue: str = "normal") -> str:
        """Put a message into a queue as anybody may, and answer its id."""
        return self.sqs.send_message(QueueUrl=self.urls[queue], MessageBody=body)["MessageId"]

    def counts(self, queue: str) -> tuple[int, int]:
        """How many messages of a queue are in sight, and out of it."""
        found = self.sqs.get_queue_attributes(QueueUrl=self.urls[queue], AttributeNames=["All"])["Attributes"]
        return int(found["ApproximateNumberOfMessages"]), int(found["ApproximateNumberOfMessagesNotVisible"])

    def reason(self) -> str:
        """Why the one message of the dead-letter queue is there."""
        [dead] = self.sqs.receive_message(QueueUrl=self.urls["dead"], MessageAttributeNames=["All"])["Messages"]
        return dead["MessageAttributes"]["reason"]["StringValue"]


@pytest.fixture
def desk(queues: SqsQueues, sqs: SQSClient, urls: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:
    monkeypatch.setattr("runtime.queue.consumer.LONGEST_WAIT_S", 0)
    with contextlib.ExitStack() as life:
        yield Desk(queues, sqs, urls, life)
