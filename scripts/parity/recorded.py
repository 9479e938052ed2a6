"""What a random graph did on an engine: the value of every output of every node, as arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

from scripts.parity.capture import Array

Values = dict[str, dict[str, Array]]
Workflow = Mapping[str, Mapping[str, Any]]

RECORDER = "Recorder"


class AnyType(str):
    """A type that every link fits, by ComfyUI's own rule: it is unequal to none."""

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return False


def recorder(kept: Values) -> type:
    """An output node's class that puts whatever reaches it into `kept`, under the label that it is given."""

    def keep(_: object, value: list[Any], label: list[str]) -> dict[str, Any]:
        numbered = enumerate(value)
        kept[label[0]] = {name: array for place, one in numbered for name, array in _arrays(str(place), one)}
        return {}

    inputs: dict[str, Any] = {"required": {"value": (AnyType("*"),), "label": ("STRING", {})}}
    declared = {"RETURN_TYPES": (), "FUNCTION": "keep", "OUTPUT_NODE": True, "INPUT_IS_LIST": True}
    return type(RECORDER, (), {"INPUT_TYPES": classmethod(lambda _: inputs), "keep": keep, **declared})


def with_recorders(workflow: Workflow, outputs: Mapping[str, int]) -> dict[str, Any]:
    """The workflow with a recorder on every output; `outputs` is the number of them by class_type."""
    recorders = {
        f"keep {id}.{place}": {"class_type": RECORDER, "inputs": {"value": [id, place], "label": f"{id}.{place}"}}
        for id, node in workflow.items()
        for place in range(outputs.get(node["class_type"], 0))
    }
    return {**workflow, **recorders}


def without(workflow: Workflow, failed: str) -> dict[str, Any]:
    """The workflow without a node and all that depends on it."""
    gone, reached = set[str](), {failed}
    while reached:
        gone |= reached
        reached = {id for id, node in workflow.items() if id not in gone and not gone.isdisjoint(_feeds(node))}
    return {id: node for id, node in workflow.items() if id not in gone}


def _feeds(node: Mapping[str, Any]) -> Iterator[str]:
    """The nodes that a node's links lead to."""
    return (value[0] for value in node["inputs"].values() if isinstance(value, list) and value)


def _arrays(name: str, value: Any) -> Iterator[tuple[str, Array]]:
    """Every tensor, number and text in `value`, by its path; of another object nothing but that it is there."""
    if isinstance(value, torch.Tensor):
        yield name, value.detach().float().cpu().numpy().copy()
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _arrays(f"{name}.{key}", item)
    elif isinstance(value, list | tuple):
        yield f"{name}.len", np.asarray(len(value))
        for place, item in enumerate(value):
            yield from _arrays(f"{name}.{place}", item)
    elif isinstance(value, bool | float | str):
        yield name, np.asarray(value)
    elif isinstance(value, int):
        yield name, np.asarray(str(value))  # a seed is larger than numpy's integers
    else:
        yield name, np.asarray("None" if value is None else "object")
