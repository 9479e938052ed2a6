from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from runtime.graph.check import CheckReport, check_graph
from runtime.graph.node_type import InputSpec, NodeType, read_node_type
from runtime.graph.workflow import parse_workflow
from runtime.nodes.protocol import InputFiles, ModelFiles


@dataclass
class Deployment:
    """Node classes, files and limits to check graphs against; it counts how often files are listed."""

    types: dict[str, NodeType] = field(default_factory=dict)
    listed: dict[Any, Sequence[str]] = field(default_factory=dict)
    limits: dict[str, tuple[float, str]] = field(default_factory=dict)
    listings: int = 0

    def add(self, name: str, cls: type) -> None:
        self.types[name] = read_node_type(name, cls)

    def get(self, class_type: str) -> NodeType | None:
        return self.types.get(class_type)

    def names(self) -> Sequence[str]:
        return list(self.types)

    def options(self, spec: InputSpec) -> Sequence[str]:
        self.listings += 1
        return self.listed.get(spec.type, ())

    def has(self, spec: InputSpec, name: str) -> bool:
        return name in self.listed.get(spec.type, ())

    def limit(self, spec: InputSpec, inputs: Mapping[str, Any]) -> tuple[float, str] | None:
        return self.limits.get(spec.name)

    def check(self, workflow: Any) -> CheckReport:
        return check_graph(parse_workflow(workflow), self, self)

    def problems(self, workflow: Any) -> list[tuple[str, str, str | None]]:
        """Node, type and input of every problem."""
        return [
            (id, error["type"], error["extra_info"].get("input_name"))
            for id, node in self.check(workflow).node_errors.items()
            for error in node["errors"]
        ]


@pytest.fixture
def deployment(node_class: Callable[..., type]) -> Deployment:
    """`Value` has an input of every kind, `Join` takes two links, `Show` is an output, `Load` names files."""

    def ignore(**inputs: Any) -> tuple[()]:
        return ()

    here = Deployment(listed={ModelFiles("checkpoints"): ["cat.safetensors"], InputFiles("image"): ["a.png"]})
    value = {
        "number": ("INT", {"default": 1, "min": 0, "max": 100}),
        "strength": ("FLOAT", {"min": -1.0, "max": 1.0}),
        "text": ("STRING", {"multiline": True}),
        "flag": ("BOOLEAN", {}),
        "mode": (["fast", "good"],),
    }
    here.add("Value", node_class(ignore, optional=value, returns=("INT", "IMAGE")))
    here.add("Join", node_class(ignore, required={"a": ("INT",)}, optional={"b": ("INT",)}, returns=("INT",)))
    here.add("Show", node_class(ignore, required={"value": ("INT",)}, output=True))
    files = {"ckpt": (ModelFiles("checkpoints"),), "image": (InputFiles("image"),)}
    here.add("Load", node_class(ignore, optional=files, returns=("INT",)))
    return here
