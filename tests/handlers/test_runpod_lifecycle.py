"""A RunPod worker's beginning and end: fitness, refresh, logs."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from runpod_server import RunPodServer

StartWorker = Callable[..., subprocess.Popen[bytes]]
Graph = dict[str, Any]


@pytest.fixture(autouse=True)
def _empty_queue(server: RunPodServer) -> Iterator[None]:
    yield
    server.purge()


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


def test_a_worker_is_refreshed_after_its_job_where_that_is_set(
    server: RunPodServer, start_worker: StartWorker, picture: Graph
) -> None:
    job_id = server.submit({"workflow": picture})
    start_worker("refreshed", REFRESH_WORKER="true")
    server.wait_until(lambda local: local.jobs[job_id].status == "COMPLETED")
    assert server.job(job_id).stopped_pod


def test_results_do_not_enter_the_log(
    server: RunPodServer, start_worker: StartWorker, worker_log: Callable[[str], Path], picture: Graph
) -> None:
    job_id = server.submit({"workflow": picture})
    start_worker("discreet")
    server.wait_until(lambda local: local.jobs[job_id].status == "COMPLETED")
    picture_data = server.job(job_id).output["images"][0]["data"]
    log = worker_log("discreet").read_text()
    assert job_id in log
    assert picture_data[:60] not in log
