from __future__ import annotations

from typing import Any

import pytest

from runtime.graph.likeness import likeness_of
from runtime.graph.workflow import parse_workflow


def graph(**changes: Any) -> dict[str, Any]:
    """A small text-to-image graph; a change is `input=value` on whichever node has that input."""
    nodes = {
        "4": ("CheckpointLoaderSimple", {"ckpt_name": "a.safetensors"}),
        "5": ("EmptyLatentImage", {"width": 512, "height": 768, "batch_size": 1}),
        "6": ("CLIPTextEncode", {"text": "a cat", "clip": ["4", 1]}),
        "3": ("KSampler", {"seed": 1, "steps": 20, "cfg": 7.0, "sampler_name": "euler", "scheduler": "normal",
                           "denoise": 1.0, "model": ["4", 0], "positive": ["6", 0], "latent_image": ["5", 0]}),
    }  # fmt: skip
    return {
        id: {"class_type": kind, "inputs": {name: changes.get(name, value) for name, value in inputs.items()}}
        for id, (kind, inputs) in nodes.items()
    }


def like(workflow: dict[str, Any]) -> str:
    return likeness_of(parse_workflow(workflow))


@pytest.mark.parametrize(
    "changes",
    [
        {"text": "a dog"},
        {"seed": 99},
        {"cfg": 3.5},
        {"width": 768, "height": 512},
        {"width": 384, "height": 1024},
    ],
    ids=["prompt", "seed", "guidance", "turned", "as many pixels"],
)
def test_graphs_that_take_as_long_are_alike(changes: dict[str, Any]) -> None:
    assert like(graph(**changes)) == like(graph())


def test_the_numbers_and_the_order_of_nodes_do_not_count() -> None:
    numbered = {f"1{id}": node for id, node in reversed(graph().items())}
    for node in numbered.values():
        node["inputs"] = {k: [f"1{v[0]}", v[1]] if isinstance(v, list) else v for k, v in node["inputs"].items()}
    assert like(numbered) == like(graph())


@pytest.mark.parametrize(
    "changes",
    [
        {"ckpt_name": "b.safetensors"},
        {"width": 1024},
        {"batch_size": 4},
        {"steps": 30},
        {"sampler_name": "heun"},
        {"denoise": 0.5},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_what_changes_the_work_counts(changes: dict[str, Any]) -> None:
    assert like(graph(**changes)) != like(graph())


def test_another_node_counts_also_a_second_one_of_a_kind() -> None:
    more = {**graph(), "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "", "clip": ["4", 1]}}}
    assert like(more) != like(graph())


def test_inputs_of_odd_kinds_are_borne() -> None:
    odd = graph(width=True, height=None, steps=["5", 0], text={"a": "b.pt"}, ckpt_name=7)
    assert like(odd) == like(odd) != like(graph())
