"""The HTTP API in one process, a worker behind SQS in another, and between them the stores, as moto plays them."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from moto.server import ThreadedMotoServer

from runtime.aws import AwsAccess
from runtime.documents.table import create_documents_table
from runtime.jobs.table import create_table

ROOT = Path(__file__).resolve().parents[2]
API = [sys.executable, "-c", "import sys; from comfyui_serverless.command import main; sys.exit(main())", "serve"]
WORKER = [sys.executable, "-m", "handlers.sqs_worker"]
Graph = dict[str, Any]


@pytest.fixture(scope="module")
def environment(worker_settings: dict[str, str]) -> Iterator[dict[str, str]]:
    """The environment of both: a table of jobs, one of documents, a bucket and two queues."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    access = AwsAccess(region="eu-west-1", access_key_id="id", secret_access_key="secret")
    endpoint = f"http://{host}:{port}"
    sqs = access.session.client("sqs", endpoint_url=endpoint)
    dynamodb = access.session.client("dynamodb", endpoint_url=endpoint)
    s3 = access.session.client("s3", endpoint_url=endpoint)
    create_table(dynamodb, "jobs")
    create_documents_table(dynamodb, "documents")
    s3.create_bucket(Bucket="pictures", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})
    yield worker_settings | {
        "AWS_ACCESS_KEY_ID": "id",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "eu-west-1",
        "AWS_ENDPOINT_URL": endpoint,
        "DYNAMODB_TABLE": "jobs",
        "DYNAMODB_DOCUMENTS_TABLE": "documents",
        "S3_BUCKET": "pictures",
        "S3_ENDPOINT_URL": endpoint,
        "SQS_QUEUE_URL": sqs.create_queue(QueueName="jobs")["QueueUrl"],
        "SQS_DEAD_LETTER_URL": sqs.create_queue(QueueName="dead")["QueueUrl"],
        "SECRET_KEY": "0123456789abcdef0123456789abcdef",
        "LOG_FORMAT": "json",
    }
    server.stop()


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the processes print, by their name."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    """Where the API listens, and where for ComfyUI's own."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture(scope="module")
def api(environment: dict[str, str], ports: tuple[int, int], logs: Path) -> Iterator[httpx.Client]:
    """Somebody who is logged in at the API, behind which a worker takes jobs from the queue."""
    listens = ["--port", str(ports[0]), "--comfyui-port", str(ports[1])]
    with contextlib.ExitStack() as ends:
        for name, command in {"api": [*API, *listens], "worker": WORKER}.items():
            log = ends.enter_context((logs / name).open("wb"))
            env = environment | ({"DISPATCH": "sqs"} if name == "api" else {})
            process = subprocess.Popen(command, cwd=ROOT, env=env, stderr=log)
            ends.callback(process.wait)
            ends.callback(process.kill)  # a worker that is told to end waits for the queue's answer first
        client = ends.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{ports[0]}", timeout=90))
        yield _logged_in(client, process)


@pytest.fixture
def comfyui(api: httpx.Client, ports: tuple[int, int]) -> Iterator[httpx.Client]:
    """The same account at ComfyUI's own API."""
    headers = {"Authorization": api.headers["Authorization"]}
    with httpx.Client(base_url=f"http://127.0.0.1:{ports[1]}", headers=headers, timeout=90) as client:
        yield client


def _logged_in(client: httpx.Client, process: subprocess.Popen[bytes]) -> httpx.Client:
    account = {"email": "ada@example.org", "password": "correct horse battery"}
    while True:
        assert process.poll() is None
        with contextlib.suppress(httpx.ConnectError):
            token = client.post("/auth/register", json=account).json()["access_token"]
            client.headers["Authorization"] = f"Bearer {token}"
            return client


def events_of(api: httpx.Client, job_id: str) -> Iterator[tuple[str, Any]]:
    """Kind and data of each event, as they come."""
    with api.stream("GET", f"/workflows/{job_id}/events") as stream:
        kind = ""
        for line in stream.iter_lines():
            name, _, value = line.partition(": ")
            if name == "event":
                kind = value
            elif name == "data":
                yield kind, json.loads(value)


def test_a_job_is_told_of_while_it_runs_and_its_result_is_had_and_removed(api: httpx.Client, picture: Graph) -> None:
    accepted = api.post("/workflows/execute", json={"workflow": picture, "job_id": "one"}).json()
    assert (accepted["execution_id"], accepted["status"]) == ("one", "pending")
    told = [*events_of(api, "one")]
    assert {"status", "output"} <= {kind for kind, _ in told}
    found = api.get("/workflows/one").json()
    assert (found["status"], found["engine"]) == ("completed", "native")
    assert httpx.get(found["outputs"][0]["url"]).content[:4] == b"\x89PNG"
    assert api.delete("/workflows/one").is_success
    assert api.get("/workflows/one").status_code == 404
    assert not httpx.get(found["outputs"][0]["url"]).is_success


def test_a_job_at_work_is_cancelled_from_the_api(api: httpx.Client, slow: Callable[..., Graph]) -> None:
    api.post("/workflows/execute", json={"workflow": slow(steps=900, step_s=0.05), "job_id": "slow"})
    states = (data["status"] for kind, data in events_of(api, "slow") if kind == "status")
    assert "running" in states  # reads on until it comes
    assert api.post("/workflows/slow/cancel").is_success
    assert [*states][-1] == "cancelled"


def test_the_workers_log_has_the_ids_of_the_request(api: httpx.Client, picture: Graph, logs: Path) -> None:
    body = {"workflow": picture, "job_id": "logged", "user_id": "grace"}
    answer = api.post("/workflows/execute?wait=60", json=body, headers={"X-Request-Id": "req-7"})
    assert answer.json()["status"] == "completed"
    lines = [json.loads(line) for line in (logs / "worker").read_text().splitlines()]
    ended = next(line for line in lines if line["message"] == "job logged is completed" and "request_id" in line)
    assert (ended["request_id"], ended["job_id"], ended["user_id"]) == ("req-7", "logged", "grace")


def test_the_nodes_that_the_worker_told_of_are_known_to_the_api_and_checked_by(
    api: httpx.Client, comfyui: httpx.Client, picture: Graph
) -> None:
    api.post("/workflows/execute?wait=60", json={"workflow": picture})
    while (nodes := api.get("/nodes")).status_code == 503:
        assert "no worker of this deployment has told" in nodes.json()["detail"]
    assert "KSampler" in nodes.json()
    assert nodes.json().keys() <= comfyui.get("/object_info").json().keys()
    bad = {**picture, "1": {"class_type": "EmptyImag", "inputs": {}}}
    assert "did you mean EmptyImage?" in str(api.post("/workflows/validate", json={"workflow": bad}).json())
    refused = comfyui.post("/prompt", json={"prompt": bad})
    assert (refused.status_code, [*refused.json()["node_errors"]]) == (400, ["1"])
    accepted = comfyui.post("/prompt", json={"prompt": picture}).json()
    assert accepted["node_errors"] == {}
    assert api.get(f"/workflows/{accepted['prompt_id']}?wait=60").json()["status"] == "completed"
