"""The generator of random graphs, and how what two engines made of one is compared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from runtime.nodes import node_classes
from scripts.parity.random_check import compared
from scripts.parity.random_graphs import random_workflow
from scripts.parity.random_native import RandomNative
from scripts.parity.recorded import without

SEEDS = range(25)
EMPTY: dict[str, Any] = {"error": None, "node_errors": {}, "failures": {}, "values": {}}
WORKFLOW = {
    "1": {"class_type": "EmptyImage", "inputs": {}},
    "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
    "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0]}},
}


def test_a_seed_is_a_graph() -> None:
    assert random_workflow(3) == random_workflow(3)
    assert random_workflow(3) != random_workflow(4)


def test_a_link_leads_to_an_earlier_node_that_has_such_an_output() -> None:
    classes: dict[str, Any] = node_classes()
    for workflow in map(random_workflow, SEEDS):
        for id, node in workflow.items():
            for value in node["inputs"].values():
                if isinstance(value, list):
                    feeding, place = value
                    assert int(feeding) < int(id)
                    assert place < len(classes[workflow[feeding]["class_type"]].RETURN_TYPES)


def test_many_graphs_have_every_node() -> None:
    seen = {node["class_type"] for seed in range(400) for node in random_workflow(seed).values()}
    assert seen == set(node_classes())


def test_a_graph_is_recorded_output_by_output(mini_models: Path) -> None:
    workflow = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 4, "batch_size": 2, "color": 0}},
        "2": {"class_type": "ImageCrop", "inputs": {"image": ["1", 0], "width": 4, "height": 4, "x": 2, "y": 0}},
        "3": {"class_type": "LoadImage", "inputs": {"image": "odd.png"}},
        "4": {"class_type": "FlipSigmas", "inputs": {"sigmas": ["5", 0]}},
        "5": {"class_type": "LaplaceScheduler", "inputs": {"steps": -1}},
    }
    record = RandomNative(mini_models).record("a", workflow)
    assert {label: arrays["0"].shape for label, arrays in record["values"].items()} == {
        "1.0": (2, 4, 8, 3),
        "2.0": (2, 4, 4, 3),
        "3.0": (1, 37, 51, 3),
        "3.1": (1, 64, 64),
    }
    assert ("value_smaller_than_min", "steps") in record["node_errors"]["5"]


def test_without_a_node_what_it_feeds_is_gone_too() -> None:
    assert without(WORKFLOW, "2") == {"1": WORKFLOW["1"]}


def _values(**values: float) -> dict[str, Any]:
    return {**EMPTY, "values": {f"{label[1:]}.0": {"0": np.full((2, 2), value)} for label, value in values.items()}}


@pytest.mark.parametrize(
    ("theirs", "ours", "words"),
    [
        pytest.param(_values(n1=1.0), _values(n1=1.0), [], id="the same"),
        pytest.param(_values(n1=1.0), _values(n1=1.0001), [], id="near"),
        pytest.param(_values(n1=float("nan")), _values(n1=1.0), [], id="not a number there"),
        pytest.param(_values(n1=1.0), _values(n1=float("nan")), ["VALUE 1.0"], id="not a number here"),
        pytest.param(_values(n1=1.0, n2=1.0), _values(n1=2.0, n2=2.0), ["VALUE 1.0"], id="the cause alone"),
        pytest.param(_values(n1=1.0), EMPTY, ["MISSING 1.0"], id="missing"),
        pytest.param(EMPTY, {**EMPTY, "failures": {"2": "x"}}, ["FAILS HERE: 2"], id="fails here"),
        pytest.param(
            {**EMPTY, "failures": {"1": "x"}},
            {**EMPTY, "failures": {"1": "y", "2": "z"}},
            [],
            id="fails here where it never ran there",
        ),
        pytest.param({**EMPTY, "failures": {"2": "x"}}, EMPTY, ["fails there: 2"], id="fails there"),
        pytest.param({**EMPTY, "error": "no"}, EMPTY, ["REFUSED there: no"], id="refused there"),
        pytest.param(EMPTY, {**EMPTY, "node_errors": {"1": []}}, ["ERRORS there: {}"], id="another error"),
    ],
)
def test_differences_are_told_in_a_line_each(theirs: dict[str, Any], ours: dict[str, Any], words: list[str]) -> None:
    lines = compared(theirs, ours, WORKFLOW)
    assert [line.startswith(word) for line, word in zip(lines, words, strict=True)] == [True] * len(words)
