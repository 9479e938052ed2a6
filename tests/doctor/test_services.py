from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from runtime.clock import SystemClock
from runtime.commands.doctor import main
from runtime.doctor import services
from runtime.doctor.finding import Finding
from runtime.settings import Settings

CLOCK = SystemClock()
REGION = "eu-west-1"


def states(findings: Iterator[Finding]) -> dict[str, str]:
    return {finding.name: finding.state for finding in findings}


@pytest.fixture
def api() -> Iterator[Callable[[int, Any, str], str]]:
    """`api(status, body, date)`: the address of a server that answers so."""
    servers: list[ThreadingHTTPServer] = []

    def start(status: int, body: Any, date: str) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                held = json.dumps(body).encode()
                self.send_response_only(status)
                self.send_header("Date", date or self.date_time_string())
                self.send_header("Content-Length", str(len(held)))
                self.end_headers()
                self.wfile.write(held)

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_the_embedded_stores_are_ok_and_a_link_that_nobody_serves_says_what_to_start(tmp_path: Path) -> None:
    settings = Settings(data_path=tmp_path, public_url="http://127.0.0.1:1")
    assert states(services.jobs(settings, CLOCK)) == {"jobs": "ok"}
    files, link = services.files(settings, CLOCK)
    assert (files.state, link.state) == ("ok", "warning")
    assert "start `comfyui-serverless serve`" in link.said


def test_what_was_put_to_be_fetched_back_does_not_stay(tmp_path: Path) -> None:
    list(services.files(Settings(data_path=tmp_path, public_url="http://127.0.0.1:1"), CLOCK))
    assert not [path for path in (tmp_path / "artifacts" / "outputs").rglob("*") if path.is_file()]


def test_a_table_and_a_bucket_that_are_not_there_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    settings = Settings(dynamodb_table="none", s3_bucket="none", aws_region=REGION)
    with mock_aws():
        boto3.client("dynamodb", region_name=REGION)
        (jobs,), (files,) = services.jobs(settings, CLOCK), services.files(settings, CLOCK)
    assert (jobs.state, files.state) == ("wrong", "wrong")
    assert "Check DYNAMODB_TABLE" in jobs.said
    assert "Check S3_BUCKET" in files.said
    assert "not-a-secret" not in jobs.said + files.said


def test_a_name_without_an_address_is_wrong() -> None:
    settings = Settings(hf_endpoint="http://127.0.0.1:9", s3_endpoint_url="http://nowhere.invalid:9000/b")
    found = list(services.names(settings))
    assert [finding.state for finding in found] == ["ok", "wrong"]
    assert "nowhere.invalid has no address" in found[1].said


def test_the_host_that_models_come_from_is_needed_to_bring_some_alone() -> None:
    (found,) = services.names(Settings(hf_endpoint="https://nowhere.invalid"))
    assert found.state == "warning"
    assert found.said.endswith("only models that are not here yet come from it")


def test_queues_tell_how_many_wait_or_what_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    with mock_aws():
        sqs = boto3.client("sqs", region_name=REGION)
        url = sqs.create_queue(QueueName="normal")["QueueUrl"]
        sqs.send_message(QueueUrl=url, MessageBody="{}")
        (there,) = services.queues(Settings(sqs_queue_url=url, aws_region=REGION))
        (absent,) = services.queues(Settings(sqs_queue_url=f"{url}-not", aws_region=REGION))
    assert (there.state, there.said) == ("ok", "1 wait in normal")
    assert absent.state == "wrong"
    assert "Check SQS_QUEUE_URL" in absent.said
    assert not list(services.queues(Settings()))


def test_a_store_that_is_not_reached_is_no_matter_of_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDTEST")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not-a-secret")
    monkeypatch.setattr("runtime.aws.ATTEMPTS", 1)
    settings = Settings(dynamodb_table="t", dynamodb_endpoint_url="http://127.0.0.1:1", aws_region=REGION)
    (found,) = services.jobs(settings, CLOCK)
    assert found.said.endswith("Check the network to it, AWS_REGION and DYNAMODB_ENDPOINT_URL")


def test_a_running_api_is_told_by_its_parts(api: Callable[[int, Any, str], str]) -> None:
    url = api(503, {"parts": {"jobs": "ok", "worker": "the worker is still loading"}}, "")
    assert states(services.deployment(url, CLOCK)) == {"jobs": "ok", "worker": "wrong", "clock": "ok"}


@pytest.mark.parametrize(("body", "said"), [([], "no readiness"), ({}, "no readiness")])
def test_an_address_of_something_else_is_told(api: Callable[[int, Any, str], str], body: Any, said: str) -> None:
    (found,) = services.deployment(api(200, body, ""), CLOCK)
    assert said in found.said


def test_a_clock_that_is_off_is_wrong(api: Callable[[int, Any, str], str]) -> None:
    url = api(200, {"parts": {}}, "Tue, 24 Nov 2020 10:00:00 GMT")
    (found,) = services.deployment(url, CLOCK)
    assert (found.name, found.state) == ("clock", "wrong")
    assert "set it by NTP" in found.said


def test_the_commands_status_says_whether_anything_is_wrong(
    api: Callable[[int, Any, str], str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--url", api(200, {"parts": {"jobs": "ok"}}, "")]) == 0
    assert capsys.readouterr().out.startswith("ok       jobs         ok\n")
    assert main(["--url", "http://127.0.0.1:1", "--json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["name"], found["state"]) == ("api", "wrong")
