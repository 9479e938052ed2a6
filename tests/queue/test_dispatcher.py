from __future__ import annotations

import json
from typing import Any

import pytest

from runtime.api.dispatch.dispatcher import Dispatcher
from runtime.errors import InvalidRequest
from runtime.jobs.record import JobKey
from runtime.queue.dispatcher import SqsDispatcher
from runtime.queue.messages import LARGEST_BYTES, read_message
from runtime.queue.sqs import SqsQueues
from runtime.reference import RequestReference
from runtime.request import JobRequest

USUAL = ("high", "normal", "low")
KEY = JobKey("acme", "job-1")


@pytest.fixture
def dispatcher(queues: SqsQueues) -> Dispatcher:
    return SqsDispatcher(queues)


def request(**fields: Any) -> JobRequest:
    parsed, _ = JobRequest.parse({"workflow": {"1": {"class_type": "A", "inputs": {}}}, **fields})
    return parsed


def test_a_message_waits_in_the_queue_of_its_priority_for_its_tenant(
    dispatcher: Dispatcher, queues: SqsQueues, urls: dict[str, str]
) -> None:
    dispatcher.send(KEY, request(priority="high"))
    message = queues.take(USUAL)
    assert message is not None
    assert (message.queue_url, message.tenant) == (urls["high"], "acme")
    assert read_message(message.body) == request(priority="high", job_id="job-1")


def test_a_request_too_large_for_a_message_goes_by_its_job(dispatcher: Dispatcher, queues: SqsQueues) -> None:
    dispatcher.send(KEY, request(workflow={"1": "x" * LARGEST_BYTES}))
    message = queues.take(USUAL)
    assert message is not None
    assert read_message(message.body) == RequestReference(job_id="job-1")


def test_an_api_key_does_not_wait_in_a_queue(dispatcher: Dispatcher, queues: SqsQueues) -> None:
    with pytest.raises(InvalidRequest, match="expected COMFY_ORG_API_KEY set on the workers") as caught:
        dispatcher.send(KEY, request(comfy_org_api_key="s3cret"))
    assert "s3cret" not in str(caught.value)
    assert queues.take(USUAL) is None


def test_a_message_is_plain_json_as_anybody_may_send_it(dispatcher: Dispatcher, queues: SqsQueues) -> None:
    dispatcher.send(KEY, request())
    message = queues.take(USUAL)
    assert message is not None
    assert json.loads(message.body) == {
        "input": {"workflow": {"1": {"class_type": "A", "inputs": {}}}, "job_id": "job-1"}
    }
