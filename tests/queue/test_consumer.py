from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from runtime.cancellation import CancelFlag
from runtime.errors import StateUnavailable
from runtime.jobs.leases import RENEW_EVERY_S
from runtime.jobs.record import Dispatch
from runtime.queue.sqs import HIDDEN_S, Message
from runtime.reference import RequestReference
from runtime.result import Failure

if TYPE_CHECKING:
    from conftest import Desk

WORKFLOW = {"1": {"class_type": "A", "inputs": {}}}
BODY = json.dumps({"input": {"workflow": WORKFLOW}})
COMPLETED = {"status": "completed"}


def stopped_by(code: str, *, retryable: bool = True, status: str = "failed", **fields: Any) -> dict[str, Any]:
    return {"status": status, "error": Failure(code=code, message="why", retryable=retryable), **fields}


def test_a_job_that_ended_is_taken_from_the_queue(desk: Desk) -> None:
    desk.send(BODY)
    assert desk.consumer(COMPLETED).run(drain=True)
    assert (desk.counts("normal"), desk.counts("dead")) == ((0, 0), (0, 0))


def test_a_job_is_asked_for_by_its_message(desk: Desk) -> None:
    message_id = desk.send(BODY)
    desk.consumer(COMPLETED).run(drain=True)
    [(request, dispatch, requeue, tenant)] = desk.worker.asked
    assert (request.job_id, request.workflow, requeue, tenant) == (None, WORKFLOW, "anywhere", "own")
    assert dispatch == Dispatch(backend="sqs", endpoint=desk.urls["normal"], platform_job_id=message_id)


def test_a_job_keeps_the_id_that_its_client_chose(desk: Desk) -> None:
    desk.send(json.dumps({"input": {"workflow": WORKFLOW, "job_id": "mine"}}))
    desk.consumer(COMPLETED).run(drain=True)
    assert desk.worker.asked[0][0].job_id == "mine"


def test_the_worker_is_told_once_that_nothing_waits(desk: Desk) -> None:
    consumer = desk.consumer(COMPLETED)
    with ThreadPoolExecutor(1) as background:
        running = background.submit(consumer.run)
        desk.worker.rested.get(timeout=30)
        desk.send(BODY)
        while desk.counts("normal") != (0, 0):
            assert not running.done()
        consumer.stop()
        assert running.result()
    assert desk.worker.rested.empty()


def test_a_job_runs_for_the_tenant_that_sent_it(desk: Desk) -> None:
    desk.queues.send("low", BODY, tenant="acme")
    desk.consumer(COMPLETED).run(drain=True)
    assert desk.worker.asked[0][3] == "acme"


def test_a_reference_to_a_request_goes_to_the_worker(desk: Desk) -> None:
    desk.send(json.dumps({"input": {"job_id": "job-1"}}))
    desk.consumer(COMPLETED).run(drain=True)
    assert desk.worker.asked[0][0] == RequestReference(job_id="job-1")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("junk", "the message is no JSON"),
        (json.dumps({"input": {"workflow": WORKFLOW, "seed": 1}}), "seed is no field of a request"),
    ],
    ids=["no JSON", "unknown field"],
)
def test_what_is_no_request_is_put_aside_and_runs_nothing(desk: Desk, body: str, reason: str) -> None:
    desk.send(body)
    desk.consumer(COMPLETED).run(drain=True)
    assert desk.reason().startswith(reason)
    assert (desk.worker.asked, desk.counts("normal")) == ([], (0, 0))


def test_a_tenant_that_is_none_is_put_aside(desk: Desk) -> None:
    desk.queues.send("normal", BODY, tenant="a#b")
    desk.consumer(COMPLETED).run(drain=True)
    assert desk.reason().startswith("the message's tenant is 'a#b'")


@pytest.mark.parametrize(
    ("answer", "aside"),
    [
        (stopped_by("lease_lost"), 1),
        (stopped_by("storage_unavailable"), 1),
        (stopped_by("job_id_taken", retryable=False), 1),
        (stopped_by("graph_rejected", retryable=False), 0),
        (stopped_by("timed_out", retryable=False, status="timed_out"), 0),
        (stopped_by("cancelled", retryable=False, status="cancelled"), 0),
    ],
    ids=lambda value: value["error"].code if isinstance(value, dict) else None,
)
def test_what_failed_in_all_its_attempts_is_put_aside(desk: Desk, answer: dict[str, Any], aside: int) -> None:
    desk.send(BODY)
    desk.consumer(answer).run(drain=True)
    assert (desk.counts("normal"), desk.counts("dead")) == ((0, 0), (aside, 0))


def test_a_job_that_has_not_ended_comes_again_and_drain_waits_for_it(desk: Desk) -> None:
    desk.send(BODY)

    def again(_: CancelFlag) -> dict[str, Any]:
        desk.clock.advance(5)  # the queue's own clock stands: what is shown at once comes at once
        return COMPLETED

    later = stopped_by("input_unreachable", status="pending", retry_after_s=0.0)
    desk.consumer(later, later, again).run(drain=True)
    assert [dispatch for _, dispatch, *_ in desk.worker.asked] == [desk.worker.asked[0][1]] * 3


def test_a_job_that_waits_for_its_next_attempt_is_out_of_sight(desk: Desk) -> None:
    desk.send(BODY)
    consumer = desk.consumer(stopped_by("input_unreachable", status="pending", retry_after_s=30.0))
    message = consumer._next()
    assert message is not None
    assert consumer._work(message)
    assert desk.counts("normal") == (0, 1)


def test_a_job_that_is_handed_back_is_in_sight_at_once_and_the_worker_ends(desk: Desk) -> None:
    desk.send(BODY)
    desk.send(BODY)

    def told_to_stop(cancel: CancelFlag) -> dict[str, Any]:
        consumer.stop()
        assert cancel.reason is not None
        return stopped_by(cancel.reason.code, status="pending", retry_after_s=0.0)

    consumer = desk.consumer(told_to_stop)
    assert consumer.run()
    assert len(desk.worker.asked) == 1
    assert desk.counts("normal") == (2, 0)


def test_a_worker_whose_gpu_is_lost_takes_no_further_job(desk: Desk) -> None:
    desk.send(BODY)
    desk.send(BODY)
    assert not desk.consumer(stopped_by("device_lost", status="pending", retry_after_s=30.0)).run()
    assert len(desk.worker.asked) == 1


def test_a_message_is_renewed_as_the_lease_of_its_job_is(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.queue.consumer._TICK_S", 0.005)
    desk.send(BODY)
    renewed: list[float] = []

    def hide(message: Message, seconds: float) -> None:
        renewed.append(seconds)

    def long(cancel: CancelFlag) -> dict[str, Any]:
        while len(renewed) < 2:
            desk.clock.advance(RENEW_EVERY_S / 4)
        return COMPLETED

    monkeypatch.setattr(desk.queues, "hide", hide)
    desk.consumer(long).run(drain=True)
    assert renewed[:2] == [HIDDEN_S, HIDDEN_S]


def test_a_queue_that_does_not_answer_is_asked_again(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("runtime.queue.consumer.AWAY_S", 0)
    desk.send(BODY)
    take, failures = desk.queues.take, [StateUnavailable("away"), StateUnavailable("away")]

    def sometimes(*arguments: Any, **options: Any) -> Message | None:
        if failures:
            raise failures.pop()
        return take(*arguments, **options)

    monkeypatch.setattr(desk.queues, "take", sometimes)
    desk.consumer(COMPLETED).run(drain=True)
    assert len(desk.worker.asked) == 1
