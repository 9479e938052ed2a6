from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.api.dispatch.dispatcher import Dispatcher
from runtime.api.executions import Executions
from runtime.api.quotas import Quotas
from runtime.api.result_cache import ResultCache
from runtime.artifacts.local import FolderArtifactStore
from runtime.clock import ManualClock
from runtime.documents.sqlite import SqliteDocumentStore
from runtime.errors import InvalidRequest
from runtime.fetch.access import WebAccess
from runtime.jobs.record import JobKey
from runtime.jobs.sqlite import SqliteJobStore
from runtime.queue.dispatcher import SqsDispatcher
from runtime.queue.messages import LARGEST_BYTES, read_message
from runtime.queue.sqs import SqsQueues
from runtime.reference import RequestReference
from runtime.request import JobRequest
from runtime.webhooks.signature import Signer

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


def test_an_api_key_does_not_wait_in_a_queue(dispatcher: Dispatcher) -> None:
    with pytest.raises(InvalidRequest, match="expected COMFY_ORG_API_KEY set on the workers") as caught:
        dispatcher.check(request(comfy_org_api_key="s3cret"))
    assert "s3cret" not in str(caught.value)


def test_a_request_that_cannot_be_sent_is_refused_before_it_is_stored(dispatcher: Dispatcher, tmp_path: Path) -> None:
    clock = ManualClock()
    jobs = SqliteJobStore(tmp_path / "jobs.db", clock=clock)
    documents = SqliteDocumentStore(tmp_path / "documents.db", clock=clock)
    artifacts = FolderArtifactStore(tmp_path / "artifacts", base_url="http://files")
    executions = Executions(
        jobs,
        artifacts,
        dispatcher,
        max_request_bytes=100_000,
        web=WebAccess(),
        signer=Signer.parse(""),
        clock=clock,
        quotas=Quotas(documents, jobs, clock=clock, max_running=0, max_gpu_s_per_day=0),
        cache=ResultCache(documents, jobs, artifacts, dict, clock=clock, ttl_s=0),
    )
    with pytest.raises(InvalidRequest, match="cannot wait in a queue"):
        executions.submit("acme", request(job_id="job-1", comfy_org_api_key="s3cret"))
    assert jobs.get("acme", "job-1") is None
    jobs.close()
    documents.close()


def test_a_message_is_plain_json_as_anybody_may_send_it(dispatcher: Dispatcher, queues: SqsQueues) -> None:
    dispatcher.send(KEY, request())
    message = queues.take(USUAL)
    assert message is not None
    assert json.loads(message.body) == {
        "input": {"workflow": {"1": {"class_type": "A", "inputs": {}}}, "job_id": "job-1"}
    }
