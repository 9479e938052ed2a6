from __future__ import annotations

from typing import Any

import pytest

from runtime.graph.told_types import check_by_told
from runtime.graph.workflow import parse_workflow

TOLD: dict[str, Any] = {
    "Load": {"input": {"required": {"name": [["a.safetensors"], {}]}}, "output": ["MODEL", "CLIP"]},
    "Step": {
        "input": {
            "required": {"model": ["MODEL"], "steps": ["INT", {"min": 1, "max": 10}]},
            "optional": {"mask": ["MASK"]},
        },
        "output": ["IMAGE"],
    },
    "Save": {"input": {"required": {"images": ["IMAGE"]}}, "output": [], "output_node": True},
}


def graph(**changed: Any) -> dict[str, Any]:
    nodes = {
        "load": {"class_type": "Load", "inputs": {"name": "a.safetensors"}},
        "step": {"class_type": "Step", "inputs": {"model": ["load", 0], "steps": 3}},
        "save": {"class_type": "Save", "inputs": {"images": ["step", 0]}},
    }
    return {**nodes, **changed}


def found(nodes: dict[str, Any]) -> dict[str, list[str]]:
    report = check_by_told(parse_workflow(nodes), TOLD)
    return {id: [error["type"] for error in node["errors"]] for id, node in report.node_errors.items()}


def test_a_graph_with_nothing_wrong_has_its_outputs() -> None:
    report = check_by_told(parse_workflow(graph()), TOLD)
    assert (report.outputs, report.error) == (("save",), None)


@pytest.mark.parametrize(
    ("changed", "problems"),
    [
        ({"step": {"class_type": "Stepp", "inputs": {}}}, {"step": ["invalid_prompt"]}),
        ({"step": {"class_type": "Step", "inputs": {"steps": 3}}}, {"step": ["required_input_missing"]}),
        ({"save": {"class_type": "Save", "inputs": {"images": ["step", 1]}}}, {"save": ["bad_linked_input"]}),
        ({"save": {"class_type": "Save", "inputs": {"images": ["gone", 0]}}}, {"save": ["bad_linked_input"]}),
        (
            {"step": {"class_type": "Step", "inputs": {"model": ["load", 0], "steps": "many"}}},
            {"step": ["invalid_input_type"]},
        ),
    ],
    ids=["class", "missing", "output", "node", "type"],
)
def test_what_is_wrong_whatever_the_class_says_is_found(
    changed: dict[str, Any], problems: dict[str, list[str]]
) -> None:
    assert found(graph(**changed)) == problems


@pytest.mark.parametrize(
    "changed",
    [
        {"load": {"class_type": "Load", "inputs": {"name": "new.safetensors"}}},
        {"step": {"class_type": "Step", "inputs": {"model": ["load", 0], "steps": 11}}},
        {"step": {"class_type": "Step", "inputs": {"model": ["load", 1], "steps": 3}}},
    ],
    ids=["not in the list", "over the bound", "of another type"],
)
def test_what_the_class_may_let_through_is_left_to_the_worker(changed: dict[str, Any]) -> None:
    assert found(graph(**changed)) == {}


def test_a_class_that_is_not_there_is_named_with_a_near_one() -> None:
    report = check_by_told(parse_workflow(graph(save={"class_type": "Saev", "inputs": {}})), TOLD)
    assert report.error is not None
    assert "did you mean Save?" in report.error.message
