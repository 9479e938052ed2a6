"""Our declarations against `object_info.json`, recorded from ComfyUI by scripts/parity/make_object_info.py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.nodes import display_names, node_classes
from runtime.nodes.protocol import InputFiles, ModelFiles

RECORDED: dict[str, Any] = json.loads((Path(__file__).parent / "object_info.json").read_text())


def _declared(cls: Any) -> dict[str, Any]:
    inputs = cls.INPUT_TYPES()
    return {
        kind: {name: _plain(spec) for name, spec in inputs[kind].items()}
        for kind in ("required", "optional")
        if inputs.get(kind)
    }


def _plain(spec: tuple[Any, ...]) -> list[Any]:
    kind = "files" if isinstance(spec[0], ModelFiles | InputFiles) else spec[0]
    return [kind, spec[1] if len(spec) > 1 else {}]


def test_every_node_class_is_recorded() -> None:
    assert set(node_classes()) == set(RECORDED)


@pytest.mark.parametrize("name", RECORDED)
def test_the_inputs_are_those_of_comfyui(name: str, classes: dict[str, type]) -> None:
    assert _declared(classes[name]) == RECORDED[name]["input"]


@pytest.mark.parametrize("name", RECORDED)
def test_the_inputs_stand_in_the_order_of_comfyui(name: str, classes: dict[str, type]) -> None:
    declared = _declared(classes[name])
    assert {kind: list(inputs) for kind, inputs in declared.items()} == {
        kind: list(inputs) for kind, inputs in RECORDED[name]["input"].items()
    }


@pytest.mark.parametrize("name", RECORDED)
def test_the_outputs_are_those_of_comfyui(name: str, classes: dict[str, type]) -> None:
    ours: Any = classes[name]
    recorded = RECORDED[name]
    assert list(ours.RETURN_TYPES) == recorded["output"]
    assert list(getattr(ours, "RETURN_NAMES", ours.RETURN_TYPES)) == recorded["output_name"]
    assert getattr(ours, "OUTPUT_NODE", False) == recorded["output_node"]
    assert not any(recorded["output_is_list"])


@pytest.mark.parametrize("name", RECORDED)
def test_category_and_display_name_are_those_of_comfyui(name: str, classes: dict[str, type]) -> None:
    ours: Any = classes[name]
    assert RECORDED[name]["category"] == ours.CATEGORY
    assert display_names().get(name, name) == RECORDED[name]["display_name"]


@pytest.mark.parametrize("name", RECORDED)
def test_the_function_takes_every_input(name: str, classes: dict[str, type]) -> None:
    import inspect

    ours: Any = classes[name]
    inputs = [key for kind in ours.INPUT_TYPES().values() for key in kind]
    inspect.signature(getattr(ours(), ours.FUNCTION)).bind(**dict.fromkeys(inputs))
