"""Which outputs of a graph can run, and what is reported of those that cannot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from runtime.graph.problems import Problem
from runtime.graph.workflow import Graph, Node

_MOST_OUTPUTS_NAMED = 100

NodeErrors = dict[str, Any]


def judge(
    graph: Graph, outputs: Sequence[str], order: Sequence[str], problems: Mapping[str, Sequence[Problem]]
) -> tuple[tuple[str, ...], NodeErrors]:
    """The outputs with nothing wrong above them, and `node_errors` as ComfyUI writes them.

    `order` has the nodes that the outputs need, each after what feeds it. A node's `dependent_outputs` are cut to 100.
    """
    reached = _outputs_reached(graph, outputs, order)
    bad = 0
    for id in problems:
        bad |= reached.get(id, 0)
    good = tuple(output for place, output in enumerate(outputs) if not bad >> place & 1)
    node_errors = {
        id: _wire(graph.nodes[id], found, [outputs[place] for place in _places(reached.get(id, 0))])
        for id, found in problems.items()
    }
    return good, node_errors


def _outputs_reached(graph: Graph, outputs: Sequence[str], order: Sequence[str]) -> dict[str, int]:
    """For each node the outputs that depend on it, as a set of bits by the output's place."""
    reached = dict.fromkeys(order, 0)
    for place, output in enumerate(outputs):
        reached[output] |= 1 << place
    for id in reversed(order):
        for _, link in graph.nodes[id].links:
            if link.node_id in reached:
                reached[link.node_id] |= reached[id]
    return reached


def _places(bits: int) -> Iterator[int]:
    for _ in range(_MOST_OUTPUTS_NAMED):
        if not bits:
            return
        lowest = bits & -bits
        yield lowest.bit_length() - 1
        bits ^= lowest


def _wire(node: Node, problems: Sequence[Problem], dependent_outputs: Sequence[str]) -> dict[str, Any]:
    return {
        "errors": [problem.to_wire() for problem in problems],
        "dependent_outputs": list(dependent_outputs),
        "class_type": node.class_type,
    }


def describe(node_errors: Mapping[str, Any]) -> list[str]:
    """One line a problem: node, what is wrong, details."""
    return [
        f"{node['class_type']} (node {id}): {error['message']} ({error['details']})"
        for id, node in node_errors.items()
        for error in node["errors"]
    ]
