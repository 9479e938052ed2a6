from __future__ import annotations

import json
import threading
from collections.abc import Iterator

import pytest

from runtime.jobs.leases import Claim
from runtime.jobs.record import JobRecord, Outcome, Status
from runtime.jobs.sqlite import SqliteJobStore
from runtime.progress import Progress
from runtime.webhooks.courier import Courier
from runtime.webhooks.sender import MOST_WAITING, WebhookSender

from .conftest import Receiver


@pytest.fixture
def sender(courier: Courier) -> Iterator[WebhookSender]:
    sender = WebhookSender(courier, every_s=0.0)
    yield sender
    sender.close()


def kinds(receiver: Receiver) -> list[str]:
    return [json.loads(body)["type"] for _, body in receiver.received]


def test_an_end_is_told_without_anybody_waiting(
    sender: WebhookSender, held: JobRecord, receiver: Receiver, jobs: SqliteJobStore
) -> None:
    sender.ended(held)
    receiver.wait()
    sender.close()
    record = jobs.get(*held.key)
    assert record is not None
    assert record.webhooks_due == ()


def test_what_the_worker_is_told_meanwhile_does_not_wait_for_the_receiver(
    sender: WebhookSender, claim: Claim, receiver: Receiver, jobs: SqliteJobStore
) -> None:
    """Of the progress that comes while a call is under way, the latest alone is told, and the end after it."""
    under_way, go_on = threading.Event(), threading.Event()
    receiver.before = lambda: (under_way.set(), go_on.wait(20))
    sender.progress(claim.record, Progress(step=1))
    assert under_way.wait(20)
    for step in range(2, 50):
        sender.progress(claim.record, Progress(step=step))
    sender.ended(jobs.finish(claim, Outcome(status=Status.COMPLETED)))
    go_on.set()
    for _ in range(2):
        receiver.wait()
    assert kinds(receiver) == ["job.progress", "job.completed"]


def test_progress_is_not_told_after_the_job(sender: WebhookSender, claim: Claim, receiver: Receiver) -> None:
    slow = WebhookSender(sender._courier, every_s=3600.0)
    slow.progress(claim.record, Progress(step=1))
    receiver.wait()
    slow.progress(claim.record, Progress(step=2))
    slow.progress_ends()
    slow.close()
    assert len(receiver.received) == 1


def test_progress_is_told_to_whom_it_interests(sender: WebhookSender, claim: Claim, receiver: Receiver) -> None:
    assert claim.record.webhook is not None
    vars(claim.record.webhook)["events"] = ("completed",)
    sender.progress(claim.record, Progress(step=1))
    sender.close()
    assert receiver.received == []


def test_a_job_that_tells_nobody_starts_no_thread(courier: Courier, claim: Claim) -> None:
    sender = WebhookSender(courier)
    sender.ended(claim.record)
    sender.close()
    assert sender._thread is None


def test_more_than_it_can_send_is_left_to_the_sweeper(
    sender: WebhookSender, held: JobRecord, receiver: Receiver
) -> None:
    under_way, go_on = threading.Event(), threading.Event()
    receiver.before = lambda: (under_way.set(), go_on.wait(20))
    sender.ended(held)
    assert under_way.wait(20)
    for _ in range(MOST_WAITING + 10):
        sender.ended(held)
    assert len(sender._ended) == MOST_WAITING
    sender._ended.clear()
    go_on.set()
