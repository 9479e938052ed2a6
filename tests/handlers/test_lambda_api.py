"""The API as a function on Lambda, called by an event as API Gateway sends it."""

from __future__ import annotations

import base64
import copy
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from moto import mock_aws

from handlers import lambda_api
from runtime.aws import AwsAccess
from runtime.documents.table import create_documents_table
from runtime.errors import SettingsInvalid
from runtime.jobs.table import create_table as create_jobs

EVENT = json.loads((Path(__file__).parent / "lambda_event.json").read_text())
GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
}
Call = Callable[..., dict[str, Any]]


@pytest.fixture
def own_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The process's log with a handler of the platform's, as Lambda puts one there."""
    level = logging.getLogger().level
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])
    yield
    logging.getLogger().setLevel(level)


@pytest.fixture
def queue(own_log: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The queue that jobs go to: `queue()` is the messages in it."""
    with mock_aws():
        access = AwsAccess(region="eu-west-1", access_key_id="id", secret_access_key="secret")
        sqs, dynamodb, s3 = (access.session.client(name) for name in ("sqs", "dynamodb", "s3"))
        create_jobs(dynamodb, "jobs")
        create_documents_table(dynamodb, "documents")
        s3.create_bucket(Bucket="pictures", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
        url = sqs.create_queue(QueueName="jobs")["QueueUrl"]
        for name, value in {
            "AWS_ACCESS_KEY_ID": "id",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "eu-west-1",
            "DISPATCH": "sqs",
            "DYNAMODB_TABLE": "jobs",
            "DYNAMODB_DOCUMENTS_TABLE": "documents",
            "S3_BUCKET": "pictures",
            "SECRET_KEY": "0123456789abcdef0123456789abcdef",
            "SQS_QUEUE_URL": url,
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(lambda_api, "_built", [])
        yield lambda: sqs.receive_message(QueueUrl=url).get("Messages", [])


@pytest.fixture
def call(queue: Any) -> Call:
    def call(method: str, path: str, body: object = None, *, token: str = "", query: str = "") -> dict[str, Any]:
        event = copy.deepcopy(EVENT)
        data = b"" if body is None else json.dumps(body).encode()
        event |= {"rawPath": path, "rawQueryString": query, "isBase64Encoded": True}
        event["body"] = base64.b64encode(data).decode()
        event["requestContext"]["http"] |= {"method": method, "path": path}
        event["headers"] |= {"content-length": str(len(data)), "authorization": f"Bearer {token}"}
        answer = lambda_api.handle(event, None)
        text = base64.b64decode(answer["body"]) if answer["isBase64Encoded"] else answer["body"]
        return {"status": answer["statusCode"], "headers": answer["headers"], "body": json.loads(text)}

    return call


def test_a_call_becomes_a_job_in_the_queue_and_the_next_call_finds_it(call: Call, queue: Any) -> None:
    account = {"email": "ada@example.org", "password": "correct horse battery"}
    token = call("POST", "/auth/register", account)["body"]["access_token"]
    answer = call("POST", "/workflows/execute", {"workflow": GRAPH, "job_id": "one"}, token=token)
    assert (answer["status"], answer["body"]["status"]) == (200, "pending")
    assert answer["headers"]["location"] == "/workflows/one"
    assert len(queue()) == 1
    assert call("GET", "/workflows/one", token=token, query="wait=0")["body"]["execution_id"] == "one"
    assert call("GET", "/workflows/one")["status"] == 401


def test_the_log_is_objects_with_what_each_line_belongs_to(
    call: Call, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "json")
    token = call("POST", "/auth/register", {"email": "ada@example.org", "password": "correct horse battery"})["body"]
    answer = call("POST", "/workflows/execute", {"workflow": GRAPH, "job_id": "one"}, token=token["access_token"])
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines() if "job one is" in line]
    assert [(line["message"], line["request_id"]) for line in lines] == [
        ("job one is queued", answer["headers"]["x-request-id"])
    ]


def test_a_worker_in_the_function_is_refused(queue: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISPATCH", "local")
    with pytest.raises(SettingsInvalid, match="DISPATCH names local"):
        lambda_api.handle(EVENT, None)
