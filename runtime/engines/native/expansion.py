"""A node that returns a graph to stand for it (ComfyUI's `expand`), until that graph has run."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.engines.native.cache import Outputs
from runtime.engines.native.calls import Returned
from runtime.errors import NodeFailed
from runtime.graph.node_type import NodeType
from runtime.graph.workflow import Link, Node, parse_workflow


@dataclass(frozen=True, kw_only=True)
class Expansion:
    """The nodes that stand for one, and each call's results, in which a link stands for what it will bring."""

    nodes: Mapping[str, Node]
    rows: tuple[tuple[Any, ...], ...]

    @property
    def needed(self) -> list[str]:
        """The nodes whose outputs the results are made of."""
        return list(dict.fromkeys(value.node_id for row in self.rows for value in row if type(value) is Link))

    def resolve(self, output: Callable[[Link], list[Any]], node_type: NodeType) -> Outputs:
        """The expanded node's own outputs, now that the nodes that stand for it have run."""
        outputs: Outputs = [[] for _ in node_type.return_types]
        for row in self.rows:
            for place, value in enumerate(row[: len(outputs)]):
                if type(value) is Link:
                    outputs[place].extend(output(value))
                elif node_type.lists_out[place]:
                    outputs[place].extend(value)
                else:
                    outputs[place].append(value)
        return outputs


def expand(node: Node, returned: Returned, *, taken: Container[str]) -> Expansion:
    """Read the graphs that the calls of `node` returned. Raises NodeFailed for a node id that is taken."""
    nodes: dict[str, Node] = {}
    rows: list[tuple[Any, ...]] = []
    for graph, row in zip(returned.graphs, returned.results, strict=True):
        if graph:
            for id, inner in parse_workflow(graph).nodes.items():
                if id in nodes or id in taken:
                    raise NodeFailed(f"{node.class_type} (node {node.id}) expands to node {id!r}, which exists already")
                nodes[id] = inner
        rows.append(tuple(_as_link(value) for value in row) if graph is not None else row)
    return Expansion(nodes=nodes, rows=tuple(rows))


def _as_link(value: Any) -> Any:
    if type(value) is list and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int:
        return Link(*value)
    return value
