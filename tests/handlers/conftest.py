"""A local RunPod endpoint, the real worker process behind it and the real client before it."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(HERE))  # for runpod_server, which is a package and no test

if TYPE_CHECKING:
    import runpod
    from runpod_server import RunPodServer

Graph = dict[str, Any]
WORKER_COMMAND = [sys.executable, "-m", "handlers.runpod_worker"]


@pytest.fixture(scope="module")
def worker_settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a worker on nothing but the embedded parts, and of nobody's own settings."""
    home = tmp_path_factory.mktemp("home")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "STORAGE_BASE_PATH": str(home / "data"),
        "MODELS_PATH": str(home / "models"),
        "NATIVE_NODES_PATH": str(HERE / "native_nodes"),
        "DEVICE": "cpu",
        "OMP_NUM_THREADS": "1",
    }


@pytest.fixture(scope="module")
def server() -> Iterator[RunPodServer]:
    from runpod_server import RunPodServer

    with RunPodServer() as server:
        yield server


StartWorker = Callable[..., subprocess.Popen[bytes]]


@pytest.fixture(scope="module")
def worker_log(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """Where what a worker prints is kept, by its id."""
    logs = tmp_path_factory.mktemp("logs")
    return lambda worker_id: logs / f"{worker_id}.log"


@pytest.fixture(scope="module")
def start_worker(
    server: RunPodServer, worker_settings: dict[str, str], worker_log: Callable[[str], Path]
) -> Iterator[StartWorker]:
    """Starts workers by `start_worker(worker_id, SETTING=value, ...)`; they and their children end with the module."""
    with contextlib.ExitStack() as ends:

        def start(worker_id: str, **settings: str) -> subprocess.Popen[bytes]:
            log = ends.enter_context(worker_log(worker_id).open("wb"))
            environment = worker_settings | server.worker_environment(worker_id) | settings
            worker = subprocess.Popen(
                WORKER_COMMAND, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )
            ends.callback(_end, worker)
            return worker

        yield start


def _end(worker: subprocess.Popen[bytes]) -> None:
    """End the worker and its ping process, which a killed worker leaves behind."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()


@pytest.fixture(scope="module")
def worker(start_worker: StartWorker) -> subprocess.Popen[bytes]:
    """One worker for the tests of a module."""
    return start_worker("worker-1")


@pytest.fixture
def endpoint(server: RunPodServer, monkeypatch: pytest.MonkeyPatch) -> runpod.Endpoint:
    """RunPod's own client of the local endpoint."""
    import runpod

    monkeypatch.setattr(runpod, "endpoint_url_base", server.url)
    return runpod.Endpoint(server.endpoint_id, api_key=server.api_key)


@pytest.fixture
def picture() -> Graph:
    """A graph that makes a small red picture."""
    return {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0xFF0000}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "red"}},
    }


@pytest.fixture
def slow(tmp_path: Path) -> Callable[..., Graph]:
    """A graph that takes `steps` steps of `step_s` seconds, each told in `tmp_path / "steps"` as it begins."""

    def graph(*, steps: int, step_s: float) -> Graph:
        inputs = {"steps": steps, "step_s": step_s, "log": str(tmp_path / "steps")}
        return {
            "1": {"class_type": "TimedSteps", "inputs": inputs},
            "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "slow"}},
        }

    return graph
