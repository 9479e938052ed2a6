from __future__ import annotations

import hashlib
import json
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.build import build
from runtime.errors import SettingsInvalid
from runtime.request import JobRequest
from runtime.settings import Settings
from runtime.worker import Worker

NAME = "sd1_mini.safetensors"


@pytest.fixture
def volume(tmp_path: Path, mini_models: Path) -> Path:
    """A models folder with one checkpoint."""
    folder = tmp_path / "models" / "checkpoints"
    folder.mkdir(parents=True)
    shutil.copy(mini_models / "checkpoints" / NAME, folder)
    return tmp_path / "models"


def entry(volume: Path, name: str, **fields: Any) -> dict[str, Any]:
    path = volume / "checkpoints" / name
    digest = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else "0" * 64
    return {"name": name, "folder": "checkpoints", "sources": ["file:///nowhere"], "sha256": digest, **fields}


class Home:
    """Where workers are built."""

    def __init__(self, folder: Path, volume: Path) -> None:
        self.folder = folder
        self.volume = volume
        self.workers: list[Worker] = []

    def worker(self, *models: dict[str, Any], **settings: Any) -> Worker:
        manifest = self.folder / "models_manifest.yaml"
        manifest.write_text(json.dumps({"version": 1, "models": list(models)}))
        own = {"models_path": self.volume, "models_manifest": manifest, "data_path": self.folder / "data"}
        worker = build(Settings(**own, device="cpu", **settings))
        self.workers.append(worker)
        return worker


@pytest.fixture
def home(tmp_path: Path, volume: Path) -> Iterator[Home]:
    home = Home(tmp_path, volume)
    yield home
    for worker in home.workers:
        worker.close()


def loaded(worker: Worker) -> dict[str, Any]:
    health = worker.health()["engines"]["native"]["models"]
    return {model["name"]: model["tiers"] for model in health["models"]}


def test_what_the_manifest_marks_is_in_memory_when_the_worker_is_ready(home: Home) -> None:
    worker = home.worker(entry(home.volume, NAME, preload="ram"))
    worker.prepare()
    assert loaded(worker) == {f"checkpoints/{NAME}": ("ram",)}
    (preloaded,) = worker.health()["preloaded"]
    assert (preloaded["name"], preloaded["tier"], preloaded["problem"]) == (f"checkpoints/{NAME}", "ram", None)
    assert preloaded["seconds"] > 0


def test_what_it_does_not_mark_is_not(home: Home) -> None:
    worker = home.worker(entry(home.volume, NAME))
    worker.prepare()
    assert (loaded(worker), worker.health()["preloaded"]) == ({}, [])


def test_a_marked_model_that_cannot_be_had_is_told_of_and_keeps_no_worker_from_serving(
    home: Home, caplog: pytest.LogCaptureFixture
) -> None:
    worker = home.worker(entry(home.volume, "gone.safetensors", preload="gpu"), entry(home.volume, NAME, preload="gpu"))
    worker.prepare()
    gone, there = worker.health()["preloaded"]
    assert "gone.safetensors" in gone["problem"]
    assert there["problem"] is None
    assert "checkpoints/gone.safetensors is not preloaded" in caplog.text


def test_a_marked_model_that_the_volume_lacks_is_fetched_first(home: Home) -> None:
    source = home.folder / "source.safetensors"
    (home.volume / "checkpoints" / NAME).rename(source)
    digest = hashlib.sha256(source.read_bytes()).hexdigest()
    worker = home.worker(entry(home.volume, NAME, preload="ram", sources=[f"file://{source}"], sha256=digest))
    worker.prepare()
    assert loaded(worker) == {f"checkpoints/{NAME}": ("ram",)}


def test_the_models_of_a_job_that_waits_are_loaded_ahead(home: Home) -> None:
    worker = home.worker()
    worker.prepare()
    graph = {"1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": NAME}}}
    worker.expect(JobRequest.parse({"workflow": graph})[0])
    worker._parts.loader._pool.submit(lambda: None).result()
    assert loaded(worker) == {f"checkpoints/{NAME}": ("ram",)}


@pytest.mark.parametrize("workflow", ["{", {"1": 5}, {"1": {"class_type": "Gone", "inputs": {"ckpt_name": "x"}}}])
def test_a_job_that_cannot_run_is_nothing_to_load_for(home: Home, workflow: Any) -> None:
    worker = home.worker()
    worker.prepare()
    worker.expect(JobRequest.parse({"workflow": workflow})[0])
    worker._parts.loader._pool.submit(lambda: None).result()
    assert loaded(worker) == {}


def test_only_the_next_jobs_are_loaded_for(home: Home) -> None:
    worker = home.worker()
    worker.prepare()
    loader, gate = worker._parts.loader, threading.Event()
    loader._pool.submit(gate.wait)
    for _ in range(10):
        worker.expect(JobRequest.parse({"workflow": {}})[0])
    assert loader._expected == 2
    gate.set()


def test_no_thread_is_there_before_there_is_something_to_load(home: Home) -> None:
    home.worker().prepare()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("loader")]


def _workflow(folder: Path, ckpt_name: str) -> Path:
    path = folder / "warm_up.json"
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": ckpt_name}},
        "2": {"class_type": "EmptyLatentImage", "inputs": {"width": 64, "height": 64, "batch_size": 1}},
        "3": {"class_type": "VAEDecode", "inputs": {"samples": ["2", 0], "vae": ["1", 2]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "x"}},
    }
    path.write_text(json.dumps(graph))
    return path


def test_a_warm_up_workflow_runs_before_the_worker_is_ready_and_leaves_no_output(home: Home) -> None:
    worker = home.worker(warmup_workflow=_workflow(home.folder, NAME))
    worker.prepare()
    assert loaded(worker) == {f"checkpoints/{NAME}": ("ram",)}
    assert list(worker._parts.artifacts.list("outputs/")) == []


def test_a_warm_up_workflow_that_does_not_run_keeps_the_worker_from_being_ready(home: Home) -> None:
    worker = home.worker(warmup_workflow=_workflow(home.folder, "gone.safetensors"))
    with pytest.raises(SettingsInvalid, match=r"WARMUP_WORKFLOW.* does not run: .*gone\.safetensors"):
        worker.prepare()


def test_a_warm_up_workflow_that_is_not_there_is_named(home: Home) -> None:
    worker = home.worker(warmup_workflow=home.folder / "none.json")
    with pytest.raises(SettingsInvalid, match=r"WARMUP_WORKFLOW is .*none\.json"):
        worker.prepare()
