"""RunPod for real: its client, a local endpoint, its worker loop in a process, our handler and engine."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from PIL import Image

if TYPE_CHECKING:
    import runpod
    from runpod_server import RunPodServer

pytestmark = pytest.mark.usefixtures("worker")

Graph = dict[str, Any]
Slow = Callable[..., Graph]


def decoded(result: dict[str, Any]) -> Image.Image:
    [picture] = result["images"]
    assert picture["type"] == "base64"
    return Image.open(io.BytesIO(base64.b64decode(picture["data"])))


def test_a_synchronous_run_answers_the_picture(endpoint: runpod.Endpoint, picture: Graph) -> None:
    result = endpoint.run_sync({"input": {"workflow": picture}}, timeout=60)
    assert result["status"] == "completed"
    assert decoded(result).getpixel((0, 0)) == (255, 0, 0)


def test_an_asynchronous_run_answers_the_picture_under_its_own_id(endpoint: runpod.Endpoint, picture: Graph) -> None:
    job = endpoint.run({"input": {"workflow": picture}})
    assert job.output(timeout=60)["job_id"] == job.job_id
    assert job.status() == "COMPLETED"


def test_an_input_may_be_a_string_of_json(endpoint: runpod.Endpoint, picture: Graph) -> None:
    result = endpoint.run_sync({"input": json.dumps({"workflow": picture})}, timeout=60)
    assert decoded(result).size == (64, 64)


def test_an_unknown_field_is_a_warning(endpoint: runpod.Endpoint, picture: Graph) -> None:
    result = endpoint.run_sync({"input": {"workflow": picture, "steps": 4}}, timeout=60)
    assert result["status"] == "completed"
    assert any("steps" in warning for warning in result["warnings"])


def test_a_result_does_not_enter_the_log(
    endpoint: runpod.Endpoint, picture: Graph, worker_log: Callable[[str], Path]
) -> None:
    result = endpoint.run_sync({"input": {"workflow": picture}}, timeout=60)
    log = worker_log("worker-1").read_text()
    assert result["job_id"] in log
    assert result["images"][0]["data"][:60] not in log


def test_progress_is_read_while_the_job_runs(endpoint: runpod.Endpoint, server: RunPodServer, slow: Slow) -> None:
    job = endpoint.run({"input": {"workflow": slow(steps=1000, step_s=0.02)}})
    server.wait_until(lambda local: len(local.jobs[job.job_id].progress) >= 2)
    running = endpoint.rp_client.get(f"{endpoint.endpoint_id}/status/{job.job_id}")
    job.cancel()
    assert running["status"] == "IN_PROGRESS"
    assert running["output"]["class_type"] == "TimedSteps"
    assert 0 < running["output"]["step"] < running["output"]["steps"] == 1000


def test_progress_is_sent_at_most_once_a_second(endpoint: runpod.Endpoint, server: RunPodServer, slow: Slow) -> None:
    job = endpoint.run({"input": {"workflow": slow(steps=100, step_s=0.025)}})
    job.output(timeout=60)
    ended = server.job(job.job_id)
    assert ended.ended_at is not None
    assert ended.taken_at is not None
    assert 2 <= len(ended.progress) <= 1 + (ended.ended_at - ended.taken_at)


def test_a_cancel_stops_the_job_within_a_step_and_the_worker_serves_on(
    endpoint: runpod.Endpoint, server: RunPodServer, slow: Slow, picture: Graph, tmp_path: Path
) -> None:
    job = endpoint.run({"input": {"workflow": slow(steps=1000, step_s=1.0)}})
    server.wait_until(lambda local: bool(local.jobs[job.job_id].progress))
    before = len((tmp_path / "steps").read_text().splitlines())
    assert job.cancel()["status"] == "CANCELLED"
    assert decoded(endpoint.run_sync({"input": {"workflow": picture}}, timeout=60)).size == (64, 64)
    assert len((tmp_path / "steps").read_text().splitlines()) <= before + 1
    assert job.status() == "CANCELLED"
    assert server.job(job.job_id).output is None


def test_an_execution_time_that_runs_out_stops_the_job(
    endpoint: runpod.Endpoint, slow: Slow, picture: Graph, tmp_path: Path
) -> None:
    request = {"input": {"workflow": slow(steps=1000, step_s=1.0)}, "policy": {"executionTimeout": 500}}
    job = endpoint.run(request)
    job.output(timeout=60)
    assert job.status() == "TIMED_OUT"
    endpoint.run_sync({"input": {"workflow": picture}}, timeout=60)
    assert len((tmp_path / "steps").read_text().splitlines()) <= 2


SAVE = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "never"}}
BREAKS = {"1": {"class_type": "Breaks", "inputs": {"message": "no luck"}}, "2": SAVE}
LARGE = {"1": {"class_type": "Noise", "inputs": {"size": 2400}}, "2": SAVE}


@pytest.mark.parametrize(
    ("job_input", "error"),
    [
        ({"prompt": {}}, "invalid_request: workflow is missing"),
        ("{not json", "invalid_request: input is a string that is not JSON"),
        ([1, 2], "invalid_request: input is [1, 2]"),
        ({"workflow": {"1": {"class_type": "EmptyImag", "inputs": {}}}}, "unknown_node: "),
        ({"workflow": BREAKS}, "node_failed: "),
        ({"workflow": LARGE}, "invalid_request: the result is "),
    ],
    ids=["no workflow", "not json", "not an object", "unknown node", "failing node", "large result"],
)
def test_a_job_that_fails_answers_its_code_and_message(endpoint: runpod.Endpoint, job_input: Any, error: str) -> None:
    job = endpoint.run({"input": job_input})
    detail = job.output(timeout=60)["error_detail"]
    failed = endpoint.rp_client.get(f"{endpoint.endpoint_id}/status/{job.job_id}")
    assert failed["status"] == "FAILED"
    assert failed["error"].startswith(error)
    assert failed["error"] == f"{detail['code']}: {detail['message']}"


def test_pings_name_the_job_that_runs(endpoint: runpod.Endpoint, server: RunPodServer, slow: Slow) -> None:
    job = endpoint.run({"input": {"workflow": slow(steps=1000, step_s=0.02)}})
    server.wait_until(lambda local: any(job.job_id in ping.job_ids for ping in local.pings))
    job.cancel()


def test_health_counts_jobs_and_workers(endpoint: runpod.Endpoint, picture: Graph) -> None:
    before = endpoint.health()["jobs"]["completed"]
    endpoint.run_sync({"input": {"workflow": picture}}, timeout=60)
    assert endpoint.health()["jobs"]["completed"] == before + 1
    assert endpoint.health()["workers"]["unhealthy"] == 0
