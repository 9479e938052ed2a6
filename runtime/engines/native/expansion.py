"""A node that returns a graph to stand for it (ComfyUI's `expand`), until that graph has run."""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from dataclasses import dataclass
from typing import Any

from runtime.engines.native.cache import Outputs
from runtime.engines.native.calls import ExecutionBlocker, Returned
from runtime.errors import InvalidRequest, NodeFailed
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
            for place, (values, value) in enumerate(zip(outputs, row, strict=False)):
                if type(value) is Link:
                    values.extend(output(value))
                elif node_type.is_list_out(place) and not isinstance(value, ExecutionBlocker):
                    values.extend(value)
                else:
                    values.append(value)
        return outputs


def expand(node: Node, returned: Returned, *, taken: Container[str]) -> Expansion:
    """Read the graphs that the calls of `node` returned.

    Raises NodeFailed for a graph that is malformed, has a node id that is `taken`, or links to a node that is nowhere.
    """
    nodes: dict[str, Node] = {}
    rows: list[tuple[Any, ...]] = []
    for graph, row in zip(returned.graphs, returned.results, strict=True):
        for id, inner in _parse(graph, node).items():
            if id in nodes or id in taken:
                raise _failed(node, f"node {id!r}, which exists already")
            nodes[id] = inner
        rows.append(tuple(map(_as_link, row)) if graph is not None else row)
    expansion = Expansion(nodes=nodes, rows=tuple(rows))
    links = [link.node_id for inner in nodes.values() for _, link in inner.links]
    for id in [*expansion.needed, *links]:
        if id not in nodes and id not in taken:
            raise _failed(node, f"a link to node {id!r}, which does not exist")
    return expansion


def _parse(graph: Mapping[str, Any] | None, node: Node) -> Mapping[str, Node]:
    if not graph:
        return {}
    try:
        return parse_workflow(graph).nodes
    except InvalidRequest as exc:
        raise _failed(node, f"a graph that is none: {exc.message}") from exc


def _failed(node: Node, what: str) -> NodeFailed:
    return NodeFailed(f"{node.class_type} (node {node.id}) expands to {what}", node_id=node.id)


def _as_link(value: Any) -> Any:
    if type(value) is list and len(value) == 2 and isinstance(value[0], str) and type(value[1]) is int:
        return Link(*value)
    return value
