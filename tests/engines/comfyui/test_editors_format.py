"""Workflows in the editor's format on a checkout, whose node types they are converted with."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.engines.comfyui.engine import ComfyEngine
from runtime.result import JobResult
from scripts.ui_reference.cases import Inside, Sketch, empty_image, save

if not os.environ.get("COMFYUI_PATH"):
    pytest.skip("COMFYUI_PATH names no ComfyUI checkout", allow_module_level=True)

pytestmark = pytest.mark.comfyui
Run = Callable[..., JobResult]
RECORDED = Path(__file__).parents[2] / "graph" / "ui" / "object_info.json.gz"
STITCH_INPUTS = (("image1", "IMAGE"), ("image2", "IMAGE"))


def stitching() -> dict[str, Any]:
    """Two pictures side by side, by a node within a subgraph whose spacing the instance sets."""
    inside = Inside("stitch", "Stitch", (*STITCH_INPUTS, ("spacing_width", "INT")), (("IMAGE", "IMAGE"),))
    slots = (*STITCH_INPUTS, ("spacing_width", "INT", "spacing_width"))
    node = inside.node("ImageStitch", ["right", True, 0, "white"], inputs=slots, outputs=("IMAGE",))
    for number in range(3):
        inside.link(None, number, node, number)
    inside.link(node, 0, None, 0, "IMAGE")
    made = Sketch()
    instance = made.node("stitch", [8], inputs=slots, outputs=("IMAGE",))
    for name, _ in STITCH_INPUTS:
        made.link(empty_image(made, 16, 16, 1, 0), 0, instance, name)
    made.link(instance, 0, save(made), "images")
    return made.saved(definitions={"subgraphs": [inside.definition()]})


def test_a_subgraph_of_nodes_that_only_the_checkout_has_runs(run: Run) -> None:
    result = run(stitching(), engine="auto")
    assert result.status == "completed", result.error
    assert (result.engine, [output.width for output in result.outputs]) == ("comfyui", [40])


def test_an_override_reaches_into_a_subgraph(run: Run) -> None:
    assert run(stitching(), overrides={"1:1.spacing_width": 2}).outputs[0].width == 34


def test_a_node_whose_package_does_not_import_is_refused_with_the_reason(run: Run) -> None:
    made = Sketch()
    made.node("TestBroken", [1])
    result = run(made.saved())
    assert result.error is not None
    assert result.error.code == "unknown_node"
    assert "broken_pack does not import: ModuleNotFoundError" in result.error.message


def test_the_recorded_node_types_are_those_of_the_checkout(engine: ComfyEngine, checkout: Path) -> None:
    record = pytest.importorskip("scripts.ui_reference.record")
    if "0.3.64" not in (checkout / "comfyui_version.py").read_text():
        pytest.skip("the node types of 0.3.64 are recorded")
    recorded = json.loads(gzip.decompress(RECORDED.read_bytes()))
    facts = {name: record._facts(info) for name, info in engine.object_info().items() if name in recorded}
    assert len(facts) > 300
    for name, known in facts.items():
        assert without_options(known) == without_options(recorded[name]), name


def without_options(facts: Any) -> Any:
    """Facts without the options of combos, which are the files on a machine."""
    inputs = {
        kind: {name: _without_options(*spec) for name, spec in each.items()} for kind, each in facts["input"].items()
    }
    return {**facts, "input": inputs}


def _without_options(kind: Any, settings: dict[str, Any]) -> Any:
    is_combo = isinstance(kind, list) or kind == "COMBO"
    return ("COMBO", {**settings, "options": None, "default": None}) if is_combo else (kind, settings)
