"""A worker whose AWS is unwell: throttled, failing, silent, slow, or with credentials that have ended."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ReadTimeoutError
from moto import mock_aws

from runtime.build import build
from runtime.clock import ManualClock
from runtime.engines.choice import Engines
from runtime.jobs.record import JobRecord, Status
from runtime.jobs.table import create_table
from runtime.request import JobRequest
from runtime.result import JobResult
from runtime.settings import Settings
from runtime.worker import Worker

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 16, "height": 8, "batch_size": 1, "color": 0}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "b"}},
}
WEATHERS = {
    "500": (500, "InternalServerError"),
    "503": (503, "ServiceUnavailable"),
    "throttled": (400, "ThrottlingException"),
    "credentials ended": (400, "ExpiredToken"),
    "time-out": (0, ""),
}
CODES = [(name, code or "ReadTimeoutError") for name, (_, code) in WEATHERS.items()]


class Body:
    """An HTTP body as botocore reads it."""

    def __init__(self, data: bytes) -> None:
        self._data = data

    def stream(self, **_: object) -> Iterator[bytes]:
        yield self._data


class Aws:
    """Answers calls instead of AWS while the weather of their operation is bad."""

    def __init__(self) -> None:
        self.weather: dict[str, str] = {}
        self.calls: Counter[str] = Counter()

    def watch(self, worker: Worker, part: str, service: str) -> None:
        store = getattr(worker._parts, part)
        events = getattr(store, "_table", store)._access.session.events
        events.register_first(f"before-send.{service}", self._answer)
        events.register(f"before-call.{service}", lambda model, **_: self.calls.update([model.name]))

    def _answer(self, request: Any, event_name: str, **_: object) -> AWSResponse | None:
        _, service, operation = event_name.split(".")
        weather = self.weather.get(operation)
        if weather is None:
            return None
        url, request.url = request.url, "http://127.0.0.1:9/"  # which moto, whose turn is next, does not know
        status, code = WEATHERS[weather]
        if not status:
            raise ReadTimeoutError(endpoint_url=url)
        xml = f"<Error><Code>{code}</Code><Message>hidden</Message></Error>"
        body = xml if service == "s3" else json.dumps({"__type": f"x#{code}", "message": "hidden"})
        return AWSResponse(url, status, HTTPHeaders.from_dict({}), Body(body.encode()))


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall=time.time())


@pytest.fixture
def aws() -> Aws:
    return Aws()


@pytest.fixture
def worker(tmp_path: Path, clock: ManualClock, aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[Worker]:
    monkeypatch.setattr("runtime.aws.ATTEMPTS", 1)  # the tests of the stores wait for botocore's own retries
    names = {"AWS_ACCESS_KEY_ID": "id", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}
    for name, value in names.items():
        monkeypatch.setenv(name, value)
    folders = {"STORAGE_BASE_PATH": "data", "MODELS_PATH": "models", "COMFYUI_TEMP_PATH": "work"}
    settings = {name: str(tmp_path / part) for name, part in folders.items()}
    with mock_aws():
        boto3.client("s3").create_bucket(Bucket="pictures")
        create_table(boto3.client("dynamodb"), "jobs")
        stores = {"S3_BUCKET": "pictures", "DYNAMODB_TABLE": "jobs", "AWS_REGION": "us-east-1"}
        worker = build(Settings.from_env({"DEVICE": "cpu", **settings, **stores}), clock=clock)
        aws.watch(worker, "jobs", "dynamodb")
        aws.watch(worker, "artifacts", "s3")
        yield worker
        worker.close()


def run(worker: Worker, job_id: str, **fields: Any) -> JobResult:
    request, _ = JobRequest.parse({"workflow": GRAPH, "job_id": job_id, **fields})
    return worker.run(request, requeue="here")


def record(worker: Worker, job_id: str) -> JobRecord:
    found = worker._parts.jobs.get("default", job_id)
    assert found is not None
    return found


def keys(worker: Worker, prefix: str) -> list[str]:
    return [artifact.key for artifact in worker._parts.artifacts.list(prefix)]


@pytest.mark.parametrize(("weather", "code"), CODES, ids=[name for name, _ in CODES])
def test_a_bucket_that_takes_nothing_has_its_outputs_later_and_they_are_computed_once(
    worker: Worker, aws: Aws, clock: ManualClock, weather: str, code: str
) -> None:
    aws.weather["PutObject"] = weather
    waiting = run(worker, "a")
    assert (waiting.status, waiting.error and waiting.error.code) == ("pending", "storage_unavailable")
    assert waiting.error is not None
    assert code in waiting.error.message
    assert "hidden" not in waiting.error.message
    aws.weather.clear()
    clock.advance(waiting.retry_after_s or 0)
    worker._parts = replace(worker._parts, engines=Engines({}, default="native"))  # there is nothing to compute
    assert run(worker, "a").status == "completed"
    ended = record(worker, "a")
    assert (ended.status, ended.attempt) == (Status.COMPLETED, 2)
    assert [output.key for output in ended.outputs] == keys(worker, "outputs/")


def test_a_bucket_that_stays_away_ends_the_job_and_the_next_one_has_the_outputs(worker: Worker, aws: Aws) -> None:
    aws.weather["PutObject"] = "503"
    failed = run(worker, "a", max_attempts=1)
    assert (failed.status, failed.error and failed.error.code) == ("failed", "storage_unavailable")
    assert record(worker, "a").status is Status.FAILED
    aws.weather.clear()
    worker._parts = replace(worker._parts, engines=Engines({}, default="native"))  # there is nothing to compute
    assert run(worker, "b", max_attempts=1).status == "completed"


@pytest.mark.parametrize(("weather", "code"), CODES, ids=[name for name, _ in CODES])
def test_a_finished_result_outlives_a_table_that_does_not_take_it(
    worker: Worker, aws: Aws, weather: str, code: str
) -> None:
    aws.weather["UpdateItem"] = weather
    result = run(worker, "a")
    assert (result.status, code in result.warnings[0]) == ("completed", True)
    assert keys(worker, "spool/") == ["spool/default/a/1.json"]
    assert record(worker, "a").status is Status.RUNNING
    aws.weather.clear()
    assert run(worker, "b").status == "completed"
    assert [output.key for output in record(worker, "a").outputs] == [output.key for output in result.outputs]
    assert keys(worker, "spool/") == []


def test_where_all_of_aws_is_away_a_finished_result_waits_on_the_volume(
    worker: Worker, aws: Aws, tmp_path: Path
) -> None:
    aws.weather["UpdateItem"] = "500"
    whole = worker._parts.artifacts.put

    def put(key: str, data: Any, content_type: str) -> None:
        if key.startswith("spool/"):
            aws.weather["PutObject"] = "time-out"
        whole(key, data, content_type)

    worker._parts.artifacts.put = put  # type: ignore[method-assign]
    assert run(worker, "a").status == "completed"
    assert (tmp_path / "data" / "spool" / "spool" / "default" / "a" / "1.json").exists()
    aws.weather.clear()
    run(worker, "b")
    assert record(worker, "a").status is Status.COMPLETED


def test_a_short_job_costs_two_writes_no_read_and_a_put_for_each_output(worker: Worker, aws: Aws) -> None:
    run(worker, "a")
    assert aws.calls == {"PutItem": 1, "UpdateItem": 1, "PutObject": 2, "HeadBucket": 1}
