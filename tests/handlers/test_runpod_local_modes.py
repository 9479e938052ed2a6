"""The library's two ways to try a handler without RunPod: one job from the command line, and a local API."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[2]
COMMAND = [sys.executable, "-m", "handlers.runpod_worker"]

Graph = dict[str, Any]


def run_one(job: object, settings: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [*COMMAND, "--test_input", json.dumps(job)]
    return subprocess.run(command, cwd=ROOT, env=settings, capture_output=True, text=True, timeout=60, check=False)


def test_test_input_runs_one_job_and_ends(worker_settings: dict[str, str], picture: Graph) -> None:
    ended = run_one({"input": {"workflow": picture}}, worker_settings)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "Job local_test completed successfully." in ended.stdout


def test_test_input_of_a_bad_request_ends_with_its_code(worker_settings: dict[str, str]) -> None:
    ended = run_one({"input": {"steps": 4}}, worker_settings)
    assert ended.returncode == 1
    assert "failed with error: invalid_request: workflow is missing" in ended.stdout


def test_a_setting_that_is_wrong_is_named_before_anything_starts(worker_settings: dict[str, str]) -> None:
    ended = run_one({"input": {}}, worker_settings | {"DEVICE": "toaster"})
    assert ended.returncode == 1
    assert "DEVICE" in ended.stderr
    assert "toaster" in ended.stderr
    assert "Starting Serverless Worker" not in ended.stdout


@contextlib.contextmanager
def served(settings: dict[str, str]) -> Iterator[httpx.Client]:
    """The library's development API with our handler, once it listens."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    command = [*COMMAND, "--rp_serve_api", "--rp_api_host", "127.0.0.1", "--rp_api_port", port]
    with subprocess.Popen(
        command, cwd=ROOT, env=settings, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert any("Uvicorn running" in line for line in process.stdout)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                yield client
        finally:
            process.terminate()
            process.communicate(timeout=30)


@pytest.fixture(scope="module")
def api(worker_settings: dict[str, str]) -> Iterator[httpx.Client]:
    with served(worker_settings) as client:
        yield client


def test_the_local_api_answers_a_job_synchronously(api: httpx.Client, picture: Graph) -> None:
    answer = api.post("/runsync", json={"input": {"workflow": picture}}).json()
    assert answer["status"] == "COMPLETED"
    assert answer["output"]["images"][0]["filename"].startswith("red")


def test_the_local_api_runs_a_job_when_its_status_is_asked(api: httpx.Client, picture: Graph) -> None:
    job_id = api.post("/run", json={"input": {"workflow": picture}}).json()["id"]
    assert api.post(f"/status/{job_id}").json()["status"] == "COMPLETED"


def test_the_local_api_answers_a_bad_request_with_its_code(api: httpx.Client) -> None:
    answer = api.post("/runsync", json={"input": {"workflow": 3}}).json()
    assert answer["status"] == "FAILED"
    assert answer["error"].startswith("invalid_request: workflow")
