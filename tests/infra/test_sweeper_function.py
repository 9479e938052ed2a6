"""The sweeper as it is deployed: its code taken out of the bucket, and run by its own variables."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from boto3.session import Session
from moto.server import ThreadedMotoServer

from infra.deploy.aws import AwsStack
from infra.deploy.config import AwsConfig, DeployConfig
from infra.deploy.sweeper_code import pack
from infra.deploy.template import TEMPLATE, parse_template
from runtime.aws import AwsAccess
from runtime.jobs.dynamodb import DynamoJobStore
from runtime.jobs.record import JobFacts, Status

pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse AWS.*:UserWarning")

REGION = "eu-west-1"
RUN = """
import importlib, json, os, sys
module, _, name = os.environ["_HANDLER"].rpartition(".")
print(json.dumps(getattr(importlib.import_module(module), name)({}, None)))
print(json.dumps([sys.modules["runtime"].__file__, sys.modules["pydantic"].__file__]))
"""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server that is AWS to processes of their own."""
    for name, value in {"AWS_ACCESS_KEY_ID": "AKIDTEST", "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": REGION}.items():
        monkeypatch.setenv(name, value)
    server = ThreadedMotoServer(port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    yield f"http://{host}:{port}"
    boto3.client("s3", region_name=REGION)._endpoint.http_session.close()
    server.stop()


def function(session: Session) -> dict[str, Any]:
    found: dict[str, Any] = session.client("lambda").get_function(FunctionName="comfyui-production-sweeper")
    return found["Configuration"]


def test_the_function_sweeps_the_table_that_was_deployed(endpoint: str, tmp_path: Path) -> None:
    session = Session(region_name=REGION)
    stack = AwsStack(DeployConfig(aws=AwsConfig(region=REGION)), session=session, poll_s=1)
    deployed = stack.apply(None)
    jobs = DynamoJobStore(deployed.outputs["Table"], access=AwsAccess(region=REGION, endpoint_url=endpoint))
    jobs.create(
        JobFacts(tenant="t", job_id="lost", request_sha256="r", workflow_sha256="w"), dispatch_by=1.0, request="{}"
    )
    held = session.client("s3").get_object(Bucket=deployed.outputs["Bucket"], Key=pack().key)["Body"].read()
    with zipfile.ZipFile(io.BytesIO(held)) as code:
        code.extractall(tmp_path)
    configuration = function(session)
    lambdas_own = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "_HANDLER": configuration["Handler"]}
    account = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
    variables = {**lambdas_own, **account, **configuration["Environment"]["Variables"], "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", RUN], env=variables, cwd=tmp_path, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    swept, loaded_from = map(json.loads, done.stdout.splitlines()[-2:])
    assert (swept["ended"], swept["errors"]) == (1, 0)
    assert all(Path(path).is_relative_to(tmp_path) for path in loaded_from)
    record = jobs.get("t", "lost")
    assert record is not None
    assert record.status is Status.TIMED_OUT
    assert {change.action for change in stack.plan(stack.deployed())} == {"keep"}


def test_the_schedule_calls_it_every_minute() -> None:
    resources = parse_template(TEMPLATE.read_text(encoding="utf-8"))["Resources"]  # moto makes no rule in an update
    schedule, permission = (resources[name]["Properties"] for name in ("SweeperSchedule", "SweeperMayBeCalled"))
    assert schedule["ScheduleExpression"] == "rate(1 minute)"
    assert schedule["Targets"][0]["Arn"] == {"Fn::GetAtt": ["Sweeper", "Arn"]}
    assert permission["SourceArn"] == {"Fn::GetAtt": ["SweeperSchedule", "Arn"]}


def test_a_deployment_may_do_without(session: Session) -> None:
    AwsStack(DeployConfig(aws=AwsConfig(region=REGION, sweeper=False)), session=session, poll_s=1).apply(None)
    assert session.client("lambda").list_functions()["Functions"] == []


def test_the_same_code_has_the_same_key() -> None:
    first = pack()
    pack.cache_clear()
    assert pack() == first
