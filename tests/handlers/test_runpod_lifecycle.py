"""A RunPod worker's beginning and end: fitness, where its outputs go, refresh, shutdown."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import boto3
import httpx
import pytest
import torch
from moto.server import ThreadedMotoServer

if TYPE_CHECKING:
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


def test_a_worker_that_is_told_to_end_finishes_its_job_first(
    server: RunPodServer, start_worker: StartWorker, slow: Callable[..., Graph]
) -> None:
    job_id = server.submit({"workflow": slow(steps=3, step_s=0.5)})
    worker = start_worker("ending")
    server.wait_until(lambda local: local.jobs[job_id].status == "IN_PROGRESS")
    worker.terminate()
    assert worker.wait(60) == 0
    assert server.job(job_id).status == "COMPLETED"
