"""A RunPod worker's beginning and end: fitness, where its outputs go, refresh, shutdown."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
import torch
from moto.server import ThreadedMotoServer

from runtime.jobs.record import JobRecord, Status
from runtime.jobs.sqlite import SqliteJobStore
from runtime.process_end import STUCK_EXIT_STATUS

if TYPE_CHECKING:
    import runpod
    from runpod_server import RunPodServer

StartWorker = Callable[..., subprocess.Popen[bytes]]
Graph = dict[str, Any]


@pytest.fixture(scope="module")
def server() -> Iterator[RunPodServer]:
    """An endpoint that lets its workers end soon."""
    from runpod_server import RunPodServer

    with RunPodServer(stop_hold_s=0.5) as server:
        yield server


@pytest.fixture(autouse=True)
def _empty_queue(server: RunPodServer) -> Iterator[None]:
    yield
    server.purge()


@pytest.fixture
def bucket() -> Iterator[dict[str, str]]:
    """worker-comfyui's settings of a bucket on a local S3."""
    s3 = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    s3.start()
    host, port = s3.get_host_and_port()
    session = boto3.Session(aws_access_key_id="id", aws_secret_access_key="secret", region_name="us-east-1")
    session.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="pictures")
    yield {
        "BUCKET_ENDPOINT_URL": f"http://{host}:{port}/pictures",
        "BUCKET_ACCESS_KEY_ID": "id",
        "BUCKET_SECRET_ACCESS_KEY": "secret",
    }
    s3.stop()


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a usable GPU")
def test_a_worker_whose_gpu_is_unusable_says_so_and_takes_no_job(
    server: RunPodServer, start_worker: StartWorker, picture: Graph
) -> None:
    job_id = server.submit({"workflow": picture})
    assert start_worker("unfit", DEVICE="cuda").wait(60) == 1
    assert server.job(job_id).status == "IN_QUEUE"
    [ping] = [ping for ping in server.pings() if ping.worker_id == "unfit"]
    assert ping.status == "unhealthy"
    assert ping.reason is not None
    assert ping.reason.startswith("UnfitDevice: device cuda was asked for")


def test_a_worker_with_a_bucket_answers_links_and_is_refreshed_where_that_is_set(
    server: RunPodServer, start_worker: StartWorker, bucket: dict[str, str], picture: Graph
) -> None:
    job_id = server.submit({"workflow": picture})
    start_worker("linked", REFRESH_WORKER="true", **bucket)
    server.wait_until(lambda local: local.jobs[job_id].status == "COMPLETED")
    job = server.job(job_id)
    [image] = job.output["images"]
    assert image["type"] == "s3_url"
    assert httpx.get(image["data"]).content.startswith(b"\x89PNG")
    assert job.stopped_pod


def test_a_worker_that_lost_its_gpu_is_replaced(server: RunPodServer, start_worker: StartWorker) -> None:
    breaks = {"class_type": "Breaks", "inputs": {"message": "CUDA error: unspecified launch failure"}}
    save = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "never"}}
    job_id = server.submit({"workflow": {"1": breaks, "2": save}})
    start_worker("broken")
    server.wait_until(lambda local: local.jobs[job_id].status == "FAILED")
    job = server.job(job_id)
    assert job.error.startswith("device_lost: Breaks (node 1) lost the GPU")
    assert job.stopped_pod


@pytest.fixture
def record(worker_settings: dict[str, str]) -> Callable[[str], JobRecord]:
    """What the workers' store knows of a job."""

    def read(job_id: str) -> JobRecord:
        store = SqliteJobStore(Path(worker_settings["STORAGE_BASE_PATH"]) / "jobs.db")
        found = store.get("default", job_id)
        store.close()
        assert found is not None
        return found

    return read


def test_a_worker_that_is_told_to_end_hands_its_job_to_another_at_once(
    server: RunPodServer, start_worker: StartWorker, slow: Callable[..., Graph], record: Callable[[str], JobRecord],
    tmp_path: Path,
) -> None:  # fmt: skip
    job_id = server.submit({"workflow": slow(steps=25, step_s=0.1)})
    worker = start_worker("ending")
    server.wait_until(lambda local: bool(local.jobs[job_id].progress))
    worker.terminate()
    assert worker.wait(60) == 0
    assert len((tmp_path / "steps").read_text().splitlines()) < 25
    handed = record(job_id)
    assert (handed.status, handed.attempt, handed.handbacks) == (Status.PENDING, 0, 1)
    assert server.job(job_id).status == "IN_PROGRESS"  # RunPod has heard nothing of it, and sees the worker gone
    server.abandon("ending")
    start_worker("next", REFRESH_WORKER="true")
    server.wait_until(lambda local: local.jobs[job_id].status == "COMPLETED")
    ended = record(job_id)
    assert (ended.status, ended.attempt, ended.handbacks) == (Status.COMPLETED, 1, 1)


@pytest.mark.slow  # a lease lasts a minute
@pytest.mark.timeout(240)
def test_a_job_whose_worker_was_killed_is_taken_over_by_the_one_that_gets_it_again(
    server: RunPodServer, start_worker: StartWorker, slow: Callable[..., Graph], record: Callable[[str], JobRecord]
) -> None:
    job_id = server.submit({"workflow": slow(steps=25, step_s=0.1)})
    killed = start_worker("killed")
    server.wait_until(lambda local: bool(local.jobs[job_id].progress))
    os.killpg(killed.pid, signal.SIGKILL)
    server.abandon("killed")
    start_worker("heir", REFRESH_WORKER="true")
    server.wait_until(lambda local: local.jobs[job_id].takes == 2)
    assert record(job_id).attempt == 1  # the dead worker's lease is waited for
    server.wait_until(lambda local: local.jobs[job_id].status == "COMPLETED", timeout_s=150)
    ended = record(job_id)
    assert (ended.status, ended.attempt, ended.handbacks, ended.fencing_token) == (Status.COMPLETED, 2, 0, 2)
    assert [output.key.split("/")[3] for output in ended.outputs] == ["2"]


def test_a_job_that_cannot_be_stopped_is_recorded_and_its_worker_ends(
    server: RunPodServer, start_worker: StartWorker, record: Callable[[str], JobRecord], tmp_path: Path,
    endpoint: runpod.Endpoint,
) -> None:  # fmt: skip
    save = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "never"}}
    deaf = {"class_type": "Deaf", "inputs": {"log": str(tmp_path / "began")}}
    worker = start_worker("deaf", CANCEL_GRACE_S="1")
    job = endpoint.run({"input": {"workflow": {"1": deaf, "2": save}}})
    server.wait_until(lambda local: local.jobs[job.job_id].status == "IN_PROGRESS" and (tmp_path / "began").exists())
    job.cancel()
    assert worker.wait(60) == STUCK_EXIT_STATUS
    assert record(job.job_id).status is Status.CANCELLED


def test_what_is_too_large_for_runpod_goes_through_the_bucket_both_ways(
    server: RunPodServer, start_worker: StartWorker, bucket: dict[str, str]
) -> None:
    noise = {"class_type": "Noise", "inputs": {"size": 2400}}
    save = {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "large"}}
    request = {"workflow": {"1": noise, "2": save}, "output": {"delivery": "base64"}}
    large = json.dumps({**request, "extra_pnginfo": {"notes": "x" * 12_000_000}})
    session = boto3.Session(aws_access_key_id="id", aws_secret_access_key="secret", region_name="us-east-1")
    url, _, name = bucket["BUCKET_ENDPOINT_URL"].rpartition("/")
    s3 = session.client("s3", endpoint_url=url)
    s3.put_object(Bucket=name, Key="requests/default/mine.json", Body=large.encode())
    job_id = server.submit({"request_key": "requests/default/mine.json"})
    start_worker("large", REFRESH_WORKER="true", **bucket)
    server.wait_until(lambda local: local.jobs[job_id].status == "COMPLETED")
    output = server.job(job_id).output
    assert (output["job_id"], output["images"][0]["type"]) == (job_id, "s3_url")
    assert output["warnings"] == ["outputs come as links: with their bytes the result would be too large"]
