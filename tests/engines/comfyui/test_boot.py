"""What a boot leaves: folders, pre-start scripts, routes, and a report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.engines.comfyui.engine import ComfyEngine
from runtime.result import JobResult
from runtime.worker import Worker

Run = Callable[..., JobResult]
Make = Callable[..., dict[str, Any]]
KINDS = (
    "checkpoints", "diffusion_models", "text_encoders", "vae", "loras", "controlnet", "upscale_models", "embeddings",
    "clip_vision", "style_models", "audio_encoders",
)  # fmt: skip


@pytest.fixture
def kinds(engine: ComfyEngine) -> dict[str, list[str]]:
    """ComfyUI's kinds of models with their folders."""
    assert engine._comfy is not None
    known = engine._comfy.module("folder_paths").folder_names_and_paths
    return {kind: folders for kind, (folders, *_) in known.items() if kind != "custom_nodes"}


def test_every_kind_of_model_is_looked_for_in_the_models_folder_first(
    kinds: dict[str, list[str]], own_models: Path
) -> None:
    first = {kind: Path(folders[0]).resolve() for kind, folders in kinds.items()}
    assert first
    assert [kind for kind, folder in first.items() if not folder.is_relative_to(own_models.resolve())] == []


@pytest.mark.parametrize("checkout", ["comfyui"], indirect=True, scope="session")
@pytest.mark.comfyui
@pytest.mark.parametrize("kind", KINDS)
def test_the_usual_kinds_are_among_them(kind: str, kinds: dict[str, list[str]]) -> None:
    assert kind in kinds


def test_a_pre_start_script_runs_before_the_nodes_of_its_package(run: Run, node: Make) -> None:
    (output,) = run({"1": node("TestStarted")}).outputs
    assert output.text == "before its nodes"


def test_a_custom_node_can_register_a_route(engine: ComfyEngine) -> None:
    assert engine._comfy is not None
    assert "/routes_pack/started" in [getattr(route, "path", None) for route in engine._comfy.server.routes]


def test_the_workers_report_has_the_release_the_phases_and_what_is_left_out(worker: Worker) -> None:
    report = json.loads(json.dumps(worker.health()["engines"]["comfyui"]))
    assert report["booted"]
    assert {"torch", "folders", "pre-start scripts", "core nodes", "server"} <= set(report["phases_ms"])
    assert "a_module_that_nobody_has" in report["failed_packages"]["broken_pack"]
