"""Node types as object_info tells of them, for a check where their classes are not at hand.

Not all that a class checks is told: which values it lets through in spite of its lists and bounds, what it makes of
links of other types. So only that is a problem here which is one whatever the class says: a class that is not there, an
input that is missing or cannot be read, a link that leads nowhere, a circle, a graph without an output.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from runtime.graph.check import CheckReport, check_graph
from runtime.graph.node_type import SCALARS, InputSpec, NodeType
from runtime.graph.workflow import Graph


def check_by_told(graph: Graph, object_info: Mapping[str, Any]) -> CheckReport:
    """What is certainly wrong with the graph."""
    return check_graph(graph, _ToldTypes(object_info), _AnyFile())


class _ToldTypes:
    """`NodeTypes` over an object_info."""

    def __init__(self, object_info: Mapping[str, Any]) -> None:
        self._object_info = object_info
        self._read: dict[str, NodeType] = {}

    def get(self, class_type: str) -> NodeType | None:
        entry = self._object_info.get(class_type)
        if entry is None:
            return None
        if class_type not in self._read:
            self._read[class_type] = _node_type(class_type, entry)
        return self._read[class_type]

    def names(self) -> Sequence[str]:
        return [*self._object_info]


class _AnyFile:
    """`Files` of which nothing is known."""

    def options(self, spec: InputSpec) -> Sequence[str]:
        return ()

    def has(self, spec: InputSpec, name: str) -> bool:
        return True

    def limit(self, spec: InputSpec, inputs: Mapping[str, Any]) -> None:
        return None


def _node_type(name: str, entry: Mapping[str, Any]) -> NodeType:
    inputs: dict[str, InputSpec] = {}
    for group in ("required", "optional"):
        for input_name, declared in entry.get("input", {}).get(group, {}).items():
            inputs.setdefault(input_name, _input(input_name, declared, required=group == "required"))
    returned = len(entry.get("output", ()))
    return NodeType(
        name=name,
        cls=object,
        inputs=inputs,
        hidden={},
        return_types=("*",) * returned,
        function="",
        is_output=entry.get("output_node") is True,
        takes_lists=False,
        lists_out=(False,) * returned,
        validates=frozenset(),
        validates_all=False,
        has_is_changed=False,
        is_lazy=False,
        keeps_identity=False,
    )


def _input(name: str, declared: Any, *, required: bool) -> InputSpec:
    type_ = declared[0] if isinstance(declared, list | tuple) and declared else None
    return InputSpec(
        name=name,
        type="*",
        options={},
        required=required,
        scalar=type_ if isinstance(type_, str) and type_ in SCALARS else None,
        is_file=False,
        is_lazy=False,
        takes_link=False,
    )
