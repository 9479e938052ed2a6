from __future__ import annotations

import json

import pytest

from runtime.errors import InvalidRequest
from runtime.queue.messages import LARGEST_BYTES, read_message, write_message
from runtime.reference import RequestReference
from runtime.request import JobRequest

WORKFLOW = {"1": {"class_type": "EmptyImage", "inputs": {}}}


@pytest.mark.parametrize("body", [{"input": {"workflow": WORKFLOW}}, {"workflow": WORKFLOW}], ids=["input", "bare"])
def test_a_message_is_a_request_with_or_without_its_input(body: object) -> None:
    assert read_message(json.dumps(body)) == JobRequest(workflow=WORKFLOW)


def test_a_written_request_is_read_as_it_was() -> None:
    request = JobRequest(workflow=WORKFLOW, priority="low", overrides={"1.width": 8}, max_attempts=3)
    assert read_message(write_message(request, "job-1")) == request.model_copy(update={"job_id": "job-1"})


def test_a_request_that_is_too_large_goes_by_its_id() -> None:
    body = write_message(JobRequest(workflow={"1": "x" * LARGEST_BYTES}), "job-1")
    assert read_message(body) == RequestReference(job_id="job-1")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("not json", "the message is no JSON"),
        ("[" * 100_000, "the message is no JSON"),
        ("[]", "the message is a list; expected an object with input"),
        ('{"input": {}}', "workflow is missing"),
        ('{"input": {"workflow": {}, "prority": "low"}}', "prority is no field of a request"),
        ('{"input": {"workflow": {}}, "more": 1}', "input is no field of a request"),
        ('{"job_id": "../a"}', "workflow is missing"),
    ],
    ids=range(7),
)
def test_what_is_no_request_is_named(body: str, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        read_message(body)
