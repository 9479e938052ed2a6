"""What the engine starts, and that it ends it: each test in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[3]
LIFE = """
import asyncio, json, os, sys, threading, time

from runtime.build import build
from runtime.request import JobRequest
from runtime.settings import Settings
from scripts.parity import stand_ins


def threads():
    ends_at = time.monotonic() + 30  # the system has a thread for a moment longer than Python
    while (running := len(os.listdir("/proc/self/task"))) > threading.active_count() and time.monotonic() < ends_at:
        os.sched_yield()
    return sorted(thread.name for thread in threading.enumerate()), running


def links():
    paths = [f"/proc/self/fd/{number}" for number in os.listdir("/proc/self/fd")]
    return {os.readlink(path) for path in paths if os.path.lexists(path)}


def listening():
    own = links()
    tables = [open(f"/proc/self/net/{name}").read().splitlines()[1:] for name in ("tcp", "tcp6")]
    states = {f"socket:[{row.split()[9]}]": row.split()[3] for table in tables for row in table}
    return sorted(link for link in own if states.get(link) == "0A")


def job(worker):
    nodes = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0}},
        "2": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    }
    return worker.run(JobRequest(workflow=nodes)).status


if "tests/engines/comfyui/stand_in" not in os.environ["COMFYUI_PATH"]:
    stand_ins.install_absent()
import torch

torch.set_num_threads(1)
torch.ones(2)  # whatever threads torch has are there now
os.makedirs(os.environ["TMPDIR"])
sys.argv = ["worker", "--an-argument-of-ours", "--cpu-vae"]
seen = {"threads": [threads()], "status": []}
before = links()
worker = build(Settings.from_env(os.environ))
engine = worker._parts.engines.get("comfyui")
"""
PREPARE = """
engine.prepare()
seen["threads"].append(threads())
engine.attach()
seen["status"].append(job(worker))


async def answer():
    return "answered"


seen["loop"] = asyncio.run_coroutine_threadsafe(answer(), engine._comfy.server.loop).result(timeout=30)
"""
CLOSE = """
seen["status"].append(job(worker))
seen["listening"] = listening()
seen["argv"] = sys.argv
seen["cpu_vae"] = getattr(engine._comfy.arguments, "cpu_vae", False)
worker.close()
seen["threads"].append(threads())
seen["links"] = sorted(links() - before)
seen["left"] = os.listdir(os.environ["TMPDIR"])
print(json.dumps(seen))
"""


def lived(script: str, checkout: Path, folder: Path) -> dict[str, Any]:
    """What the script saw."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path]),
        "COMFYUI_PATH": str(checkout),
        "COMFYUI_API_NODES": "false",
        "ENGINE": "comfyui",
        "DEVICE": "cpu",
        "MODELS_PATH": str(folder / "models"),
        "STORAGE_BASE_PATH": str(folder / "data"),
        "TMPDIR": str(folder / "tmp"),
    }
    command = [sys.executable, "-W", "ignore", "-c", script]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def seen(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return lived(LIFE + PREPARE + CLOSE, checkout, tmp_path_factory.mktemp("life"))


def test_a_snapshot_would_hold_no_thread_of_the_engines(seen: dict[str, Any]) -> None:
    assert seen["threads"][1] == seen["threads"][0] == [["MainThread"], 1]


def test_after_it_jobs_run_and_the_servers_loop_answers(seen: dict[str, Any]) -> None:
    assert (seen["status"], seen["loop"]) == (["completed", "completed"], "answered")


def test_no_port_is_bound_and_our_own_arguments_are_not_comfyuis(seen: dict[str, Any]) -> None:
    assert (seen["listening"], seen["argv"]) == ([], ["worker", "--an-argument-of-ours", "--cpu-vae"])
    assert seen["cpu_vae"] is False


def test_a_closed_worker_leaves_no_thread_no_open_file_and_no_folder(seen: dict[str, Any]) -> None:
    assert seen["threads"][2] == [["MainThread"], 1]
    assert (seen["links"], seen["left"]) == ([], [])
