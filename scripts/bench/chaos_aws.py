"""The AWS of the chaos run: moto's in a process of its own, whose queues keep a clock that runs faster."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from runtime.aws import AwsAccess
from runtime.jobs.table import create_table
from scripts.bench.fast_clock import FastClock

ROOT = Path(__file__).resolve().parents[2]
QUEUES = {
    "SQS_QUEUE_URL_HIGH": "high",
    "SQS_QUEUE_URL": "normal",
    "SQS_QUEUE_URL_LOW": "low",
    "SQS_DEAD_LETTER_URL": "dead",
}
KEYS = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


@contextlib.contextmanager
def local_aws(clock: FastClock, folder: Path) -> Iterator[str]:
    """The address of an AWS with the run's table, bucket and queues; it ends with the block, however that ends."""
    command = [sys.executable, "-m", "scripts.bench.fast_clock", "aws"]
    environment = {**os.environ, **clock.to_env(skew_s=0.0)}
    log = folder / "aws.log"
    with (
        log.open("wb") as errors,
        subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
        ) as process,
    ):
        try:
            assert process.stdout is not None
            url = process.stdout.readline().decode().strip()
            if not url:
                raise RuntimeError(f"the local AWS did not start: {log.read_text()[-2000:]}")
            _fill(url)
            yield url
        finally:
            process.kill()


def message_count(aws: str, queue: str) -> int:
    """The messages of a queue, in sight or not."""
    found = _sqs(aws).get_queue_attributes(QueueUrl=queue_url(aws, queue), AttributeNames=["All"])["Attributes"]
    return int(found["ApproximateNumberOfMessages"]) + int(found["ApproximateNumberOfMessagesNotVisible"])


def job_ids_in(aws: str, queue: str) -> set[str]:
    """Whose messages are in a queue; they are taken out of it."""
    client, found = _sqs(aws), set()
    while messages := client.receive_message(QueueUrl=queue_url(aws, queue), MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.add(json.loads(message["Body"])["input"]["job_id"])
            client.delete_message(QueueUrl=queue_url(aws, queue), ReceiptHandle=message["ReceiptHandle"])
    return found


def queue_url(aws: str, queue: str) -> str:
    return f"{aws}/123456789012/{queue}"


def _fill(url: str) -> None:
    session = AwsAccess(region="us-east-1").session
    create_table(session.client("dynamodb", endpoint_url=url), "jobs")
    session.client("s3", endpoint_url=url).create_bucket(Bucket="pictures")
    for name in QUEUES.values():
        session.client("sqs", endpoint_url=url).create_queue(QueueName=name)


def _sqs(aws: str) -> Any:
    return AwsAccess(region="us-east-1").session.client("sqs", endpoint_url=aws)
