"""What the engine builds on, held against the checkout: which assumption broke, where one did.

recorded.json is made by `python -m scripts.comfyui_recording` from the release that is pinned.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.engines.comfyui import internals
from runtime.engines.comfyui.engine import ComfyEngine
from scripts.comfyui_recording import SIGNATURES, events, signatures, top_level_names

ROOT = Path(__file__).resolve().parents[3]
RECORDED = json.loads((Path(__file__).parent / "recorded.json").read_text())


@pytest.fixture(scope="module")
def module(engine: ComfyEngine) -> Callable[[str], Any]:
    comfy = engine._comfy
    assert comfy is not None
    return comfy.module


@pytest.fixture(scope="module")
def found(engine: ComfyEngine) -> dict[str, list[str]]:
    return signatures()


@pytest.fixture
def is_pinned(engine: ComfyEngine) -> bool:
    return engine.health()["release"] == internals.PINNED_RELEASE


def test_the_recording_is_of_the_pinned_release() -> None:
    assert RECORDED["release"] == internals.PINNED_RELEASE


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_is_as_recorded(name: str, found: dict[str, list[str]], is_pinned: bool) -> None:
    if not is_pinned:
        pytest.skip("another release: the assumptions below are what counts")
    assert found[name] == RECORDED["signatures"][name]


def test_the_events_of_a_job_come_in_the_recorded_order(engine: ComfyEngine) -> None:
    assert events(engine) == RECORDED["events"]


def test_an_executor_takes_one_of_the_ways_to_bound_its_cache(module: Any, engine: ComfyEngine) -> None:
    assert engine._cache is not None
    for results, used in internals.results_of(engine._cache.executor):
        assert isinstance(results, dict)
        assert isinstance(used, dict)


def test_a_graph_is_validated_by_id_and_prompt_in_some_form(module: Any) -> None:
    takes = set(inspect.signature(module("execution").validate_prompt).parameters)
    assert "prompt" in takes
    assert takes <= {"prompt_id", "prompt", "partial_execution_list"}


def test_cache_keys_ask_for_a_nodes_own_signature_with_its_ancestors_order(module: Any) -> None:
    own = module("comfy_execution.caching").CacheKeySetInputSignature
    assert [*inspect.signature(own.get_immediate_node_signature).parameters] == [
        "self", "dynprompt", "node_id", "ancestor_order_mapping",
    ]  # fmt: skip
    assert [*inspect.signature(own.get_node_signature).parameters] == ["self", "dynprompt", "node_id"]


def test_the_executor_finds_its_key_set_by_name(module: Any) -> None:
    assert module("execution").CacheKeySetInputSignature.__name__ == "BottomUpKeys"


@pytest.mark.parametrize(
    "name",
    [
        "get_torch_device", "get_total_memory", "throw_exception_if_processing_interrupted", "unload_all_models",
        "cleanup_models_gc", "soft_empty_cache", "InterruptProcessingException", "EXTRA_RESERVED_VRAM",
    ],
)  # fmt: skip
def test_the_model_management_has(name: str, module: Any) -> None:
    assert hasattr(module("comfy.model_management"), name)


def test_a_progress_bar_takes_its_hook_from_the_module(module: Any) -> None:
    utils = module("comfy.utils")
    assert utils.ProgressBar(3).hook is utils.PROGRESS_BAR_HOOK
    assert utils.PROGRESS_BAR_HOOK is not None


def test_a_preview_is_a_saved_picture_whose_type_is_temp(module: Any) -> None:
    nodes = module("nodes")
    assert issubclass(nodes.PreviewImage, nodes.SaveImage)
    assert (nodes.SaveImage().type, nodes.PreviewImage().type) == ("output", "temp")


def test_every_folder_of_a_job_can_be_set(module: Any) -> None:
    folder_paths = module("folder_paths")
    for name in internals.JOB_FOLDERS:
        assert callable(getattr(folder_paths, f"set_{name}_directory"))
    assert Path(folder_paths.models_dir).is_dir()


def test_the_server_has_a_route_that_describes_every_node(engine: ComfyEngine) -> None:
    info = engine.object_info()
    assert info["ImageInvert"]["input"]["required"]["image"][0] == "IMAGE"


def test_no_top_level_name_of_ours_is_one_of_comfyuis() -> None:
    ours = {path.name for path in [*ROOT.iterdir(), *(ROOT / "sdk").iterdir()] if any(path.glob("*.py"))} - {"tests"}
    assert {"runtime", "handlers", "comfyui_serverless"} <= ours
    assert ours.isdisjoint(RECORDED["top_level_names"])


@pytest.mark.parametrize("checkout", ["comfyui"], indirect=True, scope="session")
@pytest.mark.comfyui
def test_the_recorded_top_level_names_are_the_checkouts(checkout: Path, is_pinned: bool) -> None:
    if is_pinned:
        assert top_level_names(checkout) == RECORDED["top_level_names"]
    ours = {path.name for path in ROOT.iterdir() if any(path.glob("*.py"))} - {"tests"}
    assert ours.isdisjoint(top_level_names(checkout))
