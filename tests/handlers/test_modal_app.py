"""The Modal app as the modal package imports it: what it asks Modal for, and its class run here by `.local()`."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from modal._runtime.execution_context import _set_current_context_ids

from infra.deploy.config import DeployConfig, ModalConfig, VolumeConfig, WorkersConfig
from infra.deploy.errors import DeployError
from infra.deploy.modal_parts import CONFIG_VARIABLE, worker_options

pytestmark = pytest.mark.filterwarnings("ignore:The Worker.* function is executing locally:UserWarning")

ROOT = Path(__file__).resolve().parents[2]
SHARED = {"DYNAMODB_TABLE": "jobs", "S3_BUCKET": "pictures"}


def imported(monkeypatch: pytest.MonkeyPatch, config: DeployConfig) -> ModuleType:
    monkeypatch.setenv(CONFIG_VARIABLE, config.model_dump_json())
    sys.modules.pop("handlers.modal_app", None)
    return importlib.import_module("handlers.modal_app")


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ModuleType]:
    """The app of a deployment whose model is the one that ships with the repository."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_BASE_PATH", str(tmp_path_factory.mktemp("data")))
        patch.setenv("MODELS_PATH", str(ROOT / "models"))
        patch.setenv("DEVICE", "cpu")
        patch.setenv("MODEL_FETCH", "false")
        yield imported(patch, DeployConfig(modal=ModalConfig(comfyui=False)))


@pytest.fixture(scope="module")
def worker(app: ModuleType) -> Iterator[Any]:
    worker = app.Worker()
    yield worker
    worker._gpu.close()


def graph() -> dict[str, Any]:
    nodes: dict[str, Any] = json.loads((ROOT / "examples" / "text_to_image.json").read_text())
    nodes["latent"]["inputs"].update(width=64, height=64)
    nodes["sampler"]["inputs"]["steps"] = 2
    return nodes


def test_a_job_runs_end_to_end_after_both_phases_of_a_snapshot(worker: Any) -> None:
    result = worker.run.local({"workflow": graph(), "job_id": "first"})
    assert (result["status"], result["job_id"], result["engine"]) == ("completed", "first", "native")
    assert [output["filename"] for output in result["outputs"]] == ["text_to_image_00001_.png"]
    assert result["images"][0]["type"] == "base64"


def test_an_input_that_modal_brings_again_is_the_same_job(worker: Any) -> None:
    request = {"workflow": graph(), "overrides": {"seed": 3}}
    results = []
    for attempt in ("a", "b"):
        leave = _set_current_context_ids(["in-01ABC:1-0"], ["fc-01"], [attempt])
        results.append(worker.run.local(request))
        leave()
    assert [result["job_id"] for result in results] == ["in-01ABC-1-0"] * 2
    assert results[0]["timings_ms"] == results[1]["timings_ms"]  # of the one time that it ran
    assert results[0]["outputs"][0]["sha256"] == results[1]["outputs"][0]["sha256"]


def test_a_stream_is_progress_and_then_the_result(worker: Any) -> None:
    *steps, last = worker.stream.local({"workflow": graph(), "overrides": {"seed": 4}})
    assert steps
    assert all(step["progress"]["nodes_total"] == 7 for step in steps)
    assert last["status"] == "completed"


def test_what_is_no_request_is_a_result_that_says_so(worker: Any) -> None:
    result = worker.run.local({"workflow": 3})
    assert (result["status"], result["error"]["code"]) == ("failed", "invalid_request")


def test_a_worker_that_is_taken_away_hands_its_job_back_for_modal_to_bring_again(app: ModuleType) -> None:
    from runtime.errors import HandedBack

    worker = app.Worker()
    worker.run.local({"workflow": 3})  # which enters
    worker._gpu.hand_back()
    with pytest.raises(HandedBack):
        worker.run.local({"workflow": graph(), "job_id": "late"})
    worker._gpu.close()


def test_the_api_and_the_sweeper_are_there_where_the_stores_are_shared(monkeypatch: pytest.MonkeyPatch) -> None:
    module = imported(monkeypatch, DeployConfig(env=SHARED, modal=ModalConfig(comfyui=False)))
    assert {"web", "sweep", "sync"} <= vars(module).keys()
    module = imported(monkeypatch, DeployConfig(modal=ModalConfig(comfyui=False)))
    assert {"web", "sweep"}.isdisjoint(vars(module).keys())


def test_the_image_of_comfyui_can_be_described(monkeypatch: pytest.MonkeyPatch) -> None:
    assert imported(monkeypatch, DeployConfig()).app.name == "comfyui-production"


def test_the_workers_scale_as_the_file_says() -> None:
    config = DeployConfig(
        gpus=("rtx-4090", "l40s", "l4"),
        workers=WorkersConfig(min=1, max=4, idle_timeout_s=30),
        volume=VolumeConfig(),
        env={"MAX_TIMEOUT_S": "600"},
        secrets={"HF_TOKEN": "huggingface", "CIVITAI_API_TOKEN": "models"},
    )
    options = worker_options(config)
    assert options["gpu"] == ["L40S", "L4"]
    assert (options["min_containers"], options["max_containers"], options["scaledown_window"]) == (1, 4, 30)
    assert options["timeout"] == 660
    assert options["enable_memory_snapshot"]
    assert options["experimental_options"] == {"enable_gpu_snapshot": True}
    assert len(options["secrets"]) == 2


def test_a_snapshot_is_not_taken_where_the_file_says_none() -> None:
    options = worker_options(DeployConfig(modal=ModalConfig(snapshot="none")))
    assert not options["enable_memory_snapshot"]
    assert options["experimental_options"] == {}


def test_an_idle_time_that_modal_does_not_take_is_refused() -> None:
    with pytest.raises(DeployError, match="idle_timeout_s is 3600; Modal takes 2 to 1200"):
        worker_options(DeployConfig(workers=WorkersConfig(idle_timeout_s=3600)))
