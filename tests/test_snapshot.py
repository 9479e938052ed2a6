from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]

PREPARE = """
import json, os, sys

def open_files():
    paths = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
    return {os.readlink(path) for path in paths if os.path.exists(path)}

before = open_files()
from runtime.settings import Settings
from runtime.snapshot import Snapshot

snapshot = Snapshot()
snapshot.prepare(Settings.from_env(os.environ))
files, threads = open_files(), len(os.listdir("/proc/self/task"))
import torch
found = {
    "files": sorted(files - before),
    "threads": threads,
    "cuda": torch.cuda.is_initialized(),
    "mapped": sorted({line.split()[-1] for line in open("/proc/self/maps") if ".safetensors" in line}),
    "models": snapshot._engines.get("native").health()["models"]["models"],
    "secrets": [key for key in ("boto3", "botocore") if key in sys.modules],
}
print(json.dumps(found), flush=True)
"""

REFUSE = """
import torch

def refuse(*_, **__):
    raise AssertionError("CUDA was called")

for name in ("is_available", "device_count", "current_device", "mem_get_info", "init", "_lazy_init", "cudart"):
    setattr(torch.cuda, name, refuse)
"""

ATTACH = """
for turn in range(2):
    if os.fork() == 0:
        import random
        import numpy
        worker = snapshot.attach(Settings.from_env({**os.environ, "TENANT": f"tenant{turn}"}))
        drawn = [random.random(), float(numpy.random.rand()), torch.rand(1).item()]
        own = {"id": worker.health()["worker_id"], "drawn": drawn, "tenant": worker._parts.tenant}
        print(json.dumps(own), flush=True)
        worker.close()
        os._exit(0)
    os.wait()
"""


def run(script: str, folder: Path, models: Path, **environment: str) -> list[Any]:
    """The lines that the script prints, as JSON, with the checkpoint marked for the GPU."""
    manifest = folder / "models_manifest.yaml"
    marked = {"name": "sd1_mini.safetensors", "folder": "checkpoints", "sources": ["file:///x"], "sha256": "0" * 64}
    manifest.write_text(json.dumps({"version": 1, "models": [{**marked, "preload": "gpu"}]}))
    env = {
        "PATH": "/usr/bin:/bin",
        "PYTHONPATH": f"{ROOT}:{ROOT / 'sdk'}",
        "MODELS_PATH": str(models),
        "MODELS_MANIFEST": str(manifest),
        "MODEL_FETCH": "false",
        "STORAGE_BASE_PATH": str(folder / "data"),
        **environment,
    }
    done = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_what_a_snapshot_would_hold_has_models_in_ram_and_nothing_that_is_a_process_own(
    tmp_path: Path, mini_models: Path
) -> None:
    (found,) = run(PREPARE, tmp_path, mini_models)
    assert [(model["name"], model["tiers"]) for model in found["models"]] == [
        ("checkpoints/sd1_mini.safetensors", ["ram"])
    ]
    assert (found["files"], found["threads"], found["cuda"]) == ([], 1, False)
    assert (found["mapped"], found["secrets"]) == ([], [])


def test_no_call_to_cuda_is_made_before_a_snapshot(tmp_path: Path, mini_models: Path) -> None:
    (found,) = run(REFUSE + PREPARE, tmp_path, mini_models)
    assert [model["tiers"] for model in found["models"]] == [["ram"]]


def test_processes_that_start_from_one_snapshot_have_names_seeds_and_settings_of_their_own(
    tmp_path: Path, mini_models: Path
) -> None:
    _, first, second = run(PREPARE + ATTACH, tmp_path, mini_models)
    assert first["id"] != second["id"]
    assert all(a != b for a, b in zip(first["drawn"], second["drawn"], strict=True))
    assert (first["tenant"], second["tenant"]) == ("tenant0", "tenant1")


def test_a_snapshot_that_was_never_prepared_cannot_be_attached() -> None:
    from runtime.settings import Settings
    from runtime.snapshot import Snapshot

    with pytest.raises(RuntimeError, match="never prepared"):
        Snapshot().attach(Settings(device="cpu"))
