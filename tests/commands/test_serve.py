"""`comfyui-serverless serve`, as a process of its own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from runtime.artifacts.local import FolderArtifactStore

Start = Callable[..., "subprocess.Popen[str]"]
_CODE = "import sys; from comfyui_serverless.command import main; sys.exit(main())"


@pytest.fixture
def port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        free: int = taken.getsockname()[1]
        return free


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[str]] = []

    def serve(port: int, words: tuple[str, ...] = (), *, code: str = _CODE, **env: str) -> subprocess.Popen[str]:
        env = {**os.environ, "STORAGE_BASE_PATH": str(tmp_path), "PUBLIC_URL": f"http://127.0.0.1:{port}", **env}
        command = [sys.executable, "-c", code, "serve", "--port", str(port), *words]
        started.append(subprocess.Popen(command, env=env, stderr=subprocess.PIPE, text=True))
        return started[-1]

    yield serve
    for process in started:
        process.kill()
        process.communicate()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None
    return process.stderr.readline()


def test_it_answers_the_links_of_the_store_until_it_is_told_to_end(start: Start, port: int, tmp_path: Path) -> None:
    store = FolderArtifactStore(tmp_path / "artifacts", base_url=f"http://127.0.0.1:{port}")
    store.put("a.png", b"picture", "image/png")
    process = start(port)
    assert f"http://127.0.0.1:{port}" in said(process)
    assert httpx.get(store.sign("a.png", 60).url).content == b"picture"
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


def test_without_an_address_for_links_they_lead_to_the_port_that_it_serves(start: Start, port: int) -> None:
    process = start(port, PUBLIC_URL="", DEVICE="cpu")
    said(process)
    url = f"http://127.0.0.1:{port}"
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
    }
    made = httpx.post(f"{url}/workflows/execute?wait=60", json={"workflow": graph}, timeout=90).json()
    assert made["outputs"][0]["url"].startswith(f"{url}/files/")


def test_it_says_where_links_lead_when_that_is_elsewhere(start: Start, port: int) -> None:
    process = start(port, PUBLIC_URL="https://pictures.example.com")
    assert "on http://127.0.0.1" in said(process)
    assert "https://pictures.example.com (PUBLIC_URL)" in said(process)


def test_connections_leave_files_for_the_jobs(start: Start, port: int) -> None:
    """Of 100 files that may be open, 50 are connections': who holds them all keeps no job from its own."""
    code = f"import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100)); {_CODE}"
    process = start(port, code=code)
    assert "serving" in said(process)
    with ExitStack() as held:
        while (status := _status(port)) == 200:
            held.enter_context(socket.create_connection(("127.0.0.1", port), 5))
        assert status == 503  # told so, and at once: it is not that no file was left to open
    while _status(port) != 200:
        assert process.poll() is None


def _status(port: int) -> int:
    return httpx.get(f"http://127.0.0.1:{port}/health/liveness", timeout=30).status_code


def test_a_port_that_is_taken_is_named(start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        process = start(taken.getsockname()[1])
        assert process.wait(60) == 2
    assert "cannot be listened on" in said(process)


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ({"ENVIRONMENT": "production"}, "SECRET_KEY is not set"),
        ({"MAX_STEPS": "many"}, "MAX_STEPS"),
        ({"COMFYUI_PATH": "/not/there"}, "COMFYUI_PATH is '/not/there'; expected a folder"),
    ],
    ids=["no key in production", "a bad setting", "no folder"],
)
def test_where_there_is_nothing_to_serve_it_says_why(start: Start, port: int, env: dict[str, str], reason: str) -> None:
    process = start(port, **env)
    assert process.wait(60) == 2
    assert reason in said(process)


def test_an_address_that_others_reach_needs_a_secret_key(start: Start, port: int) -> None:
    process = start(port, words=("--host", "0.0.0.0"))
    assert process.wait(60) == 2
    assert "can be reached from elsewhere, and SECRET_KEY is not set" in said(process)


def test_a_job_runs_by_one_command(start: Start, port: int) -> None:
    process = start(port, DEVICE="cpu")
    said(process)
    graph = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
    }
    url = f"http://127.0.0.1:{port}/workflows/execute?wait=60"
    result = httpx.post(url, json={"workflow": graph}, timeout=90).json()
    assert httpx.get(result["outputs"][0]["url"]).headers["content-type"] == "image/png"
