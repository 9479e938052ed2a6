"""The sweeper as it is deployed: its code taken out of the bucket, and run by its own variables."""

from __future__ import annotations

import importlib
import io
import json
import os
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from boto3.session import Session
from moto.server import ThreadedMotoServer

from infra.deploy.aws import AwsStack, Deployed
from infra.deploy.config import AwsConfig, DeployConfig
from infra.deploy.errors import DeployError
from infra.deploy.sweeper_code import pack
from infra.deploy.sweeper_settings import parameter_arn
from infra.deploy.template import TEMPLATE, parse_template
from runtime.api.dispatch.seal import Seal
from runtime.aws import AwsAccess
from runtime.clock import ManualClock
from runtime.jobs.dynamodb import DynamoJobStore
from runtime.jobs.record import Dispatch, JobFacts, JobKey, Status

pytestmark = pytest.mark.filterwarnings("ignore:Tried to parse AWS.*:UserWarning")

REGION = "eu-west-1"
SECRET_KEY = "k" * 64
SECRETS = {
    "RUNPOD_API_KEY": "/comfyui/runpod",
    "SECRET_KEY": "comfyui-key",
    "MODAL_TOKEN_ID": "comfyui/modal/id",
    "MODAL_TOKEN_SECRET": "comfyui/modal/secret",
}
RUN = """
import importlib, json, os, sys
module, _, name = os.environ["_HANDLER"].rpartition(".")
print(json.dumps(getattr(importlib.import_module(module), name)({}, None)))
"""
LAMBDAS_OWN = ("boto3", "botocore", "s3transfer", "jmespath", "dateutil", "six", "urllib3")
"""What its Python has beside the standard library."""


class RunpodQueue:
    """An endpoint that takes every job: what was posted, with whose key."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str | None, Any]] = []
        calls = self.calls

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                calls.append((self.path, self.headers["Authorization"], body))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"id": "rp-1", "status": "IN_QUEUE"}')

            def log_message(self, format: str, *args: object) -> None:
                """Tests print nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"


@pytest.fixture
def runpod() -> Iterator[RunpodQueue]:
    queue = RunpodQueue()
    thread = threading.Thread(target=queue.server.serve_forever)
    thread.start()
    yield queue
    queue.server.shutdown()
    thread.join()
    queue.server.server_close()


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
    httpx.post(f"http://{host}:{port}/moto-api/reset")
    boto3.client("s3", region_name=REGION)._endpoint.http_session.close()
    server.stop()


def function(session: Session) -> dict[str, Any]:
    found: dict[str, Any] = session.client("lambda").get_function(FunctionName="comfyui-production-sweeper")
    return found["Configuration"]


def deployed(**aws: Any) -> tuple[AwsStack, Deployed, DynamoJobStore]:
    session = Session(region_name=REGION)
    stack = AwsStack(DeployConfig(aws=AwsConfig(region=REGION, **aws)), session=session, poll_s=1)
    made = stack.apply(None)
    access = AwsAccess(region=REGION, endpoint_url=os.environ["AWS_ENDPOINT_URL"])
    long_ago = ManualClock(time.time() - 3600.0)
    return stack, made, DynamoJobStore(made.outputs["Table"], access=access, clock=long_ago)


def unpacked(made: Deployed, folder: Path) -> Path:
    """The code as it lies in the bucket, and beside it what Lambda has by itself."""
    key = made.parameters["SweeperKey"]
    held = boto3.client("s3", region_name=REGION).get_object(Bucket=made.outputs["Bucket"], Key=key)["Body"].read()
    with zipfile.ZipFile(io.BytesIO(held)) as code:
        code.extractall(folder / "code")
    (folder / "own").mkdir()
    for name in LAMBDAS_OWN:
        origin = Path(str(importlib.import_module(name).__file__))
        origin = origin.parent if origin.name == "__init__.py" else origin
        (folder / "own" / origin.name).symlink_to(origin)
    return folder


def python(folder: Path, code: str, **variables: str) -> str:
    """What a Python prints that finds nothing but the standard library, Lambda's own and the function's code."""
    account = {name: os.environ[name] for name in os.environ if name.startswith("AWS_")}
    path = f"{folder / 'code'}{os.pathsep}{folder / 'own'}"
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), **account, **variables, "PYTHONPATH": path}
    done = subprocess.run(
        [sys.executable, "-S", "-c", code], env=env, cwd=folder, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def invoked(folder: Path) -> dict[str, Any]:
    configuration = function(Session(region_name=REGION))
    variables = configuration["Environment"]["Variables"]
    said = python(folder, RUN, _HANDLER=configuration["Handler"], **variables)
    swept: dict[str, Any] = json.loads(said.splitlines()[-1])
    return swept


def lose(jobs: DynamoJobStore, dispatch: Dispatch | None = None) -> None:
    """A job that was sent long ago, and that nobody has taken; sent by `dispatch`, its worker was lost since."""
    facts = JobFacts(tenant="default", job_id="lost", request_sha256="r", workflow_sha256="w", dispatch=dispatch)
    request = json.dumps({"workflow": {"1": {"class_type": "A", "inputs": {}}}, "job_id": "lost"})
    jobs.create(facts, dispatch_by=1.0, request=request)
    if dispatch is not None:
        jobs.claim(facts, worker_id="gone")


def put_secret(name: str, value: str) -> None:
    boto3.client("ssm", region_name=REGION).put_parameter(Name=name, Value=value, Type="SecureString")


def test_the_function_sweeps_the_table_that_was_deployed(endpoint: str, tmp_path: Path) -> None:
    stack, made, jobs = deployed()
    lose(jobs)
    swept = invoked(unpacked(made, tmp_path))
    assert (swept["ended"], swept["errors"]) == (1, 0)
    assert boto3.client("dynamodb", region_name=REGION).scan(TableName=made.outputs["Table"])["Items"][0]["status"] == {
        "S": Status.TIMED_OUT.value
    }
    assert {change.action for change in stack.plan(stack.deployed())} == {"keep"}


def test_jobs_of_runpod_are_sent_again_by_a_key_that_the_function_reads_itself_and_modals_package_is_there(
    endpoint: str, runpod: RunpodQueue, tmp_path: Path
) -> None:
    _, made, jobs = deployed(
        sweeper_env={
            "DISPATCH": "runpod,modal",
            "RUNPOD_ENDPOINT_ID": "ep1",
            "RUNPOD_ENDPOINT_URL": runpod.url,
            "MODAL_APP": "comfyui",
        },
        sweeper_secrets=SECRETS,
    )
    for variable, name in SECRETS.items():
        put_secret(name, SECRET_KEY if variable == "SECRET_KEY" else f"{variable}-of-the-account")
    lose(jobs, Dispatch(backend="runpod", endpoint="ep1"))
    swept = invoked(unpacked(made, tmp_path))
    assert (swept["requeued"], swept["sent_again"], swept["errors"]) == (1, 1, 0)
    assert runpod.calls == [
        (
            "/ep1/run",
            "Bearer RUNPOD_API_KEY-of-the-account",
            {"input": Seal(SECRET_KEY, tenant="x").write(JobKey("default", "lost"))},
        )
    ]
    assert "of-the-account" not in json.dumps(function(Session(region_name=REGION)), default=str)
    said = python(tmp_path, "import modal; print(modal.__file__, modal.Cls.from_name('app', 'Worker')().run)")
    assert said.startswith(str(tmp_path / "code" / "modal"))


def test_the_function_may_read_its_own_parameters_and_no_others() -> None:
    config = DeployConfig(aws=AwsConfig(region=REGION, sweeper_secrets={"SECRET_KEY": "/a/key"}))
    role = json.loads(AwsStack(config).body())["Resources"]["SweeperRole"]["Properties"]
    (allowed,) = role["Policies"][-1]["PolicyDocument"]["Statement"]
    assert (allowed["Action"], allowed["Resource"]) == ("ssm:GetParameters", [parameter_arn("a/key")])


@pytest.mark.parametrize(
    ("aws", "said"),
    [
        ({"sweeper_env": {"DISPATCH": "moon"}}, "aws.sweeper_env: DISPATCH"),
        ({"sweeper_env": {"DISPATCH": "runpod"}}, "RUNPOD_ENDPOINT_ID and RUNPOD_API_KEY"),
        ({"sweeper_env": {"DISPATCH": "modal"}}, "MODAL_APP"),
        ({"sweeper_env": {"DISPATCH": "modal", "MODAL_APP": "a"}}, "no MODAL_TOKEN_ID and no MODAL_TOKEN_SECRET"),
        ({"sweeper_env": {"DISPATCH": "http"}}, "DISPATCH_HTTP_URL"),
    ],
    ids=lambda value: "" if isinstance(value, str) else str(value["sweeper_env"]),
)
def test_a_sweeper_that_could_not_send_is_refused_before_anything_is_made(aws: dict[str, Any], said: str) -> None:
    with pytest.raises(DeployError, match=said):
        AwsStack(DeployConfig(aws=AwsConfig(region=REGION, **aws))).plan(None)


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
