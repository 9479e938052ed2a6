from __future__ import annotations

import json
import threading
from collections.abc import Callable

import httpcore
import pytest
from standardwebhooks import Webhook

from runtime.jobs.leases import Claim
from runtime.jobs.record import JobError, JobRecord, Outcome, Status
from runtime.jobs.sqlite import SqliteJobStore
from runtime.jobs.store import due_shard
from runtime.jobs.webhook_moves import HOLD_S
from runtime.progress import Progress
from runtime.webhooks import post
from runtime.webhooks.courier import Courier
from runtime.webhooks.schedule import DELAYS_S, next_try

from .conftest import SECRET, Receiver, ShiftedClock

Make = Callable[..., Courier]


def stored(jobs: SqliteJobStore) -> JobRecord:
    record = jobs.get("acme", "job-1")
    assert record is not None
    return record


def is_due(jobs: SqliteJobStore) -> bool:
    return stored(jobs).key in jobs.due(due_shard(stored(jobs).key))


def test_an_end_is_told_once_signed_with_links(
    courier: Courier, held: JobRecord, receiver: Receiver, jobs: SqliteJobStore
) -> None:
    assert courier.deliver(held) == "delivered"
    ((headers, body),) = receiver.received
    message = Webhook(SECRET).verify(body, headers)
    assert (message["type"], message["timestamp"]) == ("job.completed", held.finished_at)
    data = message["data"]
    assert (data["job_id"], data["status"], data["user_id"]) == ("job-1", "completed", "ada")
    assert data["outputs"][0]["url"].startswith("http://files/files/outputs/acme/job-1/1/9_0_a.png?expires=")
    assert data["images"][0]["data"] == data["outputs"][0]["url"]
    assert headers["Content-Type"] == "application/json"
    assert (stored(jobs).webhooks_due, stored(jobs).due_at, stored(jobs).webhook_error) == ((), None, None)
    assert stored(jobs).status is Status.COMPLETED


@pytest.mark.parametrize("status", [Status.FAILED, Status.TIMED_OUT, Status.CANCELLED])
def test_every_other_end_is_told_as_failed_with_its_status(
    courier: Courier, claim: Claim, receiver: Receiver, jobs: SqliteJobStore, status: Status
) -> None:
    error = JobError(code="node_failed", message="it broke", retryable=False)
    courier.deliver(jobs.finish(claim, Outcome(status=status, error=error)))
    message = json.loads(receiver.received[0][1])
    assert (message["type"], message["data"]["status"]) == ("job.failed", status.value)
    assert message["data"]["error"]["message"] == "it broke"


@pytest.mark.parametrize("status", [301, 302, 400, 404, 429, 500, 503])
def test_a_refusal_is_tried_again_later_with_the_same_id(
    courier: Courier, held: JobRecord, receiver: Receiver, jobs: SqliteJobStore, clock: ShiftedClock, status: int
) -> None:
    receiver.answers = [(status, {"Location": receiver.url})]
    assert courier.deliver(held) == "failed"
    (due,) = stored(jobs).webhooks_due
    assert due.tries == 1
    assert 0 < due.due_at - clock.wall() <= DELAYS_S[0]
    clock.ahead_s = DELAYS_S[0]
    again = jobs.take_webhook(stored(jobs))
    assert again is not None
    assert courier.deliver(again) == "delivered"
    first, second = (headers["webhook-id"] for headers, _ in receiver.received)
    assert first == second


def test_a_receiver_that_is_gone_is_left_alone(
    courier: Courier, held: JobRecord, receiver: Receiver, jobs: SqliteJobStore
) -> None:
    receiver.answers = [(410, {})]
    assert courier.deliver(held) == "given_up"
    assert stored(jobs).webhook_error == "the receiver answered 410: it wants no more"
    assert stored(jobs).due_at is None


def test_a_webhook_is_given_up_after_its_last_try_and_that_is_recorded(
    courier: Courier, held: JobRecord, receiver: Receiver, jobs: SqliteJobStore, clock: ShiftedClock
) -> None:
    receiver.answers = [(500, {})] * 20
    ends = [courier.deliver(held)]
    while stored(jobs).webhooks_due:
        clock.ahead_s = stored(jobs).webhooks_due[0].due_at - ShiftedClock().wall() + 1
        again = jobs.take_webhook(stored(jobs))
        assert again is not None
        ends.append(courier.deliver(again))
    assert ends == ["failed"] * len(DELAYS_S) + ["given_up"]
    assert "answered 500" in (stored(jobs).webhook_error or "")
    assert "s3cret" not in (stored(jobs).webhook_error or "")
    assert sum(DELAYS_S) < 86_400  # what a job is remembered for by default


def test_a_webhook_ends_with_its_job(
    courier: Courier, held: JobRecord, receiver: Receiver, jobs: SqliteJobStore, clock: ShiftedClock
) -> None:
    clock.ahead_s = held.ttl_s - 5
    receiver.answers = [(500, {})]
    courier.deliver(held)
    assert "answered 500" in (stored(jobs).webhook_error or "")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "metadata.internal", "rebound.example"])
def test_a_private_address_is_never_called(
    make_courier: Make, claim: Claim, receiver: Receiver, jobs: SqliteJobStore, host: str
) -> None:
    """Also where the name server answers with a public address beside it."""
    answers = {"metadata.internal": ["169.254.169.254"], "rebound.example": ["93.184.215.14", "127.0.0.1"]}
    private = make_courier(allow_private=False, resolve=lambda name: answers.get(name, ["127.0.0.1"]))
    assert claim.record.webhook is not None
    vars(claim.record.webhook)["url"] = receiver.url.replace("127.0.0.1", host).replace("http:", "https:")
    held = jobs.finish(claim, Outcome(status=Status.COMPLETED))
    vars(held.webhook)["url"] = vars(claim.record.webhook)["url"]
    assert private.deliver(held) == "given_up"
    assert receiver.received == []
    assert f"host {host!r} is not on the public internet" in (stored(jobs).webhook_error or "")


def test_the_address_that_was_checked_is_the_one_connected_to(make_courier: Make, held: JobRecord) -> None:
    """A name server that answers something else the second time is not asked a second time."""
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])
    connected: list[str] = []

    class Network(httpcore.MockBackend):
        def connect_tcp(self, host: str, port: int, *args: object, **_: object) -> httpcore.NetworkStream:
            connected.append(host)
            raise httpcore.ConnectError

    vars(held.webhook)["url"] = "https://a.example/hook"
    public = make_courier(allow_private=False, resolve=lambda _: next(answers), network=Network([]))
    assert public.deliver(held) == "failed"
    assert connected == ["93.184.215.14"]


def test_a_receiver_that_says_nothing_holds_nobody_up(
    courier: Courier, held: JobRecord, receiver: Receiver, jobs: SqliteJobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(post, "POST_S", 0.3)
    ended = threading.Event()
    receiver.before = lambda: ended.wait(20)
    assert courier.deliver(held) == "failed"
    ended.set()
    assert is_due(jobs) is False
    assert stored(jobs).webhooks_due[0].tries == 1


def test_an_endless_answer_is_not_read(courier: Courier, held: JobRecord, receiver: Receiver) -> None:
    receiver.answers = [(200, {"Content-Length": str(10**15)})]
    assert courier.deliver(held) == "delivered"


def test_without_a_secret_nothing_is_sent(
    make_courier: Make, held: JobRecord, receiver: Receiver, jobs: SqliteJobStore
) -> None:
    assert make_courier(secret="").deliver(held) == "failed"
    assert receiver.received == []


def test_progress_is_told_once_and_changes_nothing(
    courier: Courier, claim: Claim, receiver: Receiver, jobs: SqliteJobStore
) -> None:
    receiver.answers = [(500, {})]
    courier.tell_progress(claim.record, Progress(node_id="3", step=2, steps=20), 1)
    ((headers, body),) = receiver.received
    message = Webhook(SECRET).verify(body, headers)
    assert message["type"] == "job.progress"
    assert (message["data"]["job_id"], message["data"]["progress"]["step"]) == ("job-1", 2)
    assert stored(jobs) == claim.record


def test_the_next_try_is_drawn_from_the_upper_half_of_its_pause() -> None:
    assert next_try(1, now=100.0, draw=lambda: 0.0) == 100.0 + DELAYS_S[0] / 2
    assert next_try(2, now=100.0, draw=lambda: 1.0) == 100.0 + DELAYS_S[1]
    assert next_try(len(DELAYS_S) + 1, now=100.0) is None


def test_a_hold_that_is_nearly_over_is_left_to_the_next(courier: Courier, held: JobRecord, clock: ShiftedClock) -> None:
    assert courier.has_time(held)
    clock.ahead_s = HOLD_S - post.POST_S + 1
    assert not courier.has_time(held)
