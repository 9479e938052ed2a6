"""Everything that is wrong with a graph, found at once, before any of it runs.

The names of the problems and the rule of which outputs still run are ComfyUI's (execution.py, `validate_prompt`):
an output with nothing wrong above it runs, the others are reported.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from runtime.errors import GraphRejected, ModelMissing, UnknownNode
from runtime.graph.input_check import Files, check_inputs, run_own_validation
from runtime.graph.node_type import NodeType
from runtime.graph.problems import Problem, shown
from runtime.graph.workflow import Graph, Link, Node

_LONGEST_RING_SHOWN = 10


class NodeTypes(Protocol):
    """The node types that an engine has, by class_type."""

    def get(self, class_type: str) -> NodeType | None: ...

    def names(self) -> Sequence[str]: ...


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """A checked graph: its values converted to their declared types, the outputs that can run, and what is wrong."""

    graph: Graph
    outputs: tuple[str, ...]
    node_errors: Mapping[str, Any]
    error: GraphRejected | ModelMissing | None

    def raise_if_rejected(self) -> None:
        """Raise the error that says why nothing of the graph can run."""
        if self.error is not None:
            raise self.error

    @property
    def warnings(self) -> list[str]:
        """One line a problem of a graph that runs in part."""
        return [f"left out: {line}" for line in describe(self.node_errors)] if self.outputs else []


def check_graph(graph: Graph, types: NodeTypes, files: Files) -> CheckReport:
    """Check every node that an output needs. Time grows linearly with the nodes; there is no recursion."""
    outputs, fatal = _find_outputs(graph, types)
    if fatal is not None:
        return CheckReport(graph=graph, outputs=(), node_errors=fatal.node_errors or {}, error=fatal)
    order, problems = _walk(graph, outputs)
    nodes = dict(graph.nodes)
    for id in order:
        node_type = types.get(nodes[id].class_type)
        if node_type is not None:
            nodes[id], found = _check_node(nodes[id], node_type, nodes, types, files)
            if found:
                problems.setdefault(id, []).extend(found)
    checked = Graph(nodes=nodes, source=graph.source)
    if not problems:
        return CheckReport(graph=checked, outputs=tuple(outputs), node_errors={}, error=None)
    return _report(checked, outputs, order, problems)


def _find_outputs(graph: Graph, types: NodeTypes) -> tuple[list[str], GraphRejected | None]:
    unknown = {id: _unknown(node, types) for id, node in graph.nodes.items() if types.get(node.class_type) is None}
    if unknown:
        lines = "; ".join(f"{graph.nodes[id].class_type} (node {id}): {p.details}" for id, p in unknown.items())
        errors = {id: _wire(graph.nodes[id], [problem], []) for id, problem in unknown.items()}
        return [], UnknownNode(f"no node class here is named {lines}", node_errors=errors)
    outputs = [id for id, node in graph.nodes.items() if _known(types, node).is_output]
    if not outputs:
        return [], GraphRejected(
            "prompt_no_outputs: the workflow has no output node; expected at least one such as SaveImage"
        )
    return outputs, None


def _known(types: NodeTypes, node: Node) -> NodeType:
    node_type = types.get(node.class_type)
    if node_type is None:  # _find_outputs has refused it
        raise UnknownNode(f"no node class here is named {node.class_type}")
    return node_type


def _unknown(node: Node, types: NodeTypes) -> Problem:
    near = difflib.get_close_matches(node.class_type, types.names(), n=1, cutoff=0.6)
    return Problem(
        type="invalid_prompt",
        message=f"there is no node class {shown(node.class_type)}",
        details=f"did you mean {near[0]}?" if near else "nothing here has a near name",
        extra_info={"class_type": node.class_type, "nearest": near},
    )


def _walk(graph: Graph, outputs: Sequence[str]) -> tuple[list[str], dict[str, list[Problem]]]:
    """The nodes that the outputs need, each after what feeds it, and the problems of the links themselves."""
    order: list[str] = []
    problems: dict[str, list[Problem]] = {}
    open_nodes: set[str] = set()
    done: set[str] = set()
    for output in outputs:
        stack: list[tuple[str, Iterator[tuple[str, Link]]]] = []
        if output not in done:
            stack.append((output, graph.nodes[output].links))
            open_nodes.add(output)
        while stack:
            id, links = stack[-1]
            name, link = next(links, (None, None))
            if link is None:
                stack.pop()
                open_nodes.discard(id)
                done.add(id)
                order.append(id)
            elif link.node_id not in graph.nodes:
                problems.setdefault(id, []).append(_dangling(str(name), link))
            elif link.node_id in open_nodes:
                problems.setdefault(id, []).append(_cycle(str(name), link, stack))
            elif link.node_id not in done:
                open_nodes.add(link.node_id)
                stack.append((link.node_id, graph.nodes[link.node_id].links))
    return order, problems


def _dangling(name: str, link: Link) -> Problem:
    return Problem(
        type="bad_linked_input",
        message="the link leads to a node that the workflow does not have",
        details=f"{name}: node {link.node_id!r}",
        extra_info={"input_name": name, "received_value": list(link)},
    )


def _cycle(name: str, link: Link, stack: Sequence[tuple[str, Any]]) -> Problem:
    ring = [id for id, _ in islice(reversed(stack), _LONGEST_RING_SHOWN)]
    ring = ring[: ring.index(link.node_id) + 1] if link.node_id in ring else [*ring, "...", link.node_id]
    return Problem(
        type="dependency_cycle",
        message="the node depends on itself",
        details=f"{name}: {' -> '.join([*reversed(ring), link.node_id])}",
        extra_info={"input_name": name, "received_value": list(link)},
    )


def _check_node(
    node: Node, node_type: NodeType, nodes: Mapping[str, Node], types: NodeTypes, files: Files
) -> tuple[Node, list[Problem]]:
    def output_type(link: Link) -> Any:
        if link.node_id not in nodes:
            return "*"  # _walk has reported the link
        returned = _known(types, nodes[link.node_id]).return_types
        return returned[link.output] if 0 <= link.output < len(returned) else None

    values, received, problems = check_inputs(node, node_type, output_type, files)
    if values is not None:
        node = Node(id=node.id, class_type=node.class_type, inputs=values, title=node.title)
    if (node_type.validates or node_type.validates_all) and not problems:
        problems = run_own_validation(node, node_type, received)
    return node, problems


def _report(
    graph: Graph, outputs: Sequence[str], order: Sequence[str], problems: Mapping[str, list[Problem]]
) -> CheckReport:
    reaches = _outputs_reached(graph, outputs, order)
    bad = 0
    for id in problems:
        bad |= reaches.get(id, 0)
    good = tuple(output for number, output in enumerate(outputs) if not bad >> number & 1)
    node_errors = {
        id: _wire(graph.nodes[id], found, [o for n, o in enumerate(outputs) if reaches.get(id, 0) >> n & 1])
        for id, found in problems.items()
    }
    error = None if good else _rejection(node_errors)
    return CheckReport(graph=graph, outputs=good, node_errors=node_errors, error=error)


def _outputs_reached(graph: Graph, outputs: Sequence[str], order: Sequence[str]) -> dict[str, int]:
    """For each node the outputs that depend on it, as a set of bits by the output's place."""
    reached = dict.fromkeys(order, 0)
    for number, output in enumerate(outputs):
        reached[output] |= 1 << number
    for id in reversed(order):
        for _, link in graph.nodes[id].links:
            if link.node_id in reached:
                reached[link.node_id] |= reached[id]
    return reached


def _wire(node: Node, problems: Sequence[Problem], dependent_outputs: Sequence[str]) -> dict[str, Any]:
    return {
        "errors": [problem.to_wire() for problem in problems],
        "dependent_outputs": list(dependent_outputs),
        "class_type": node.class_type,
    }


def _rejection(node_errors: Mapping[str, Any]) -> GraphRejected | ModelMissing:
    """ModelMissing where absent models are all that is wrong, else GraphRejected."""
    found = [error for node in node_errors.values() for error in node["errors"]]
    only_models = all("folder" in error["extra_info"] for error in found)
    kind: Callable[..., GraphRejected | ModelMissing] = ModelMissing if only_models else GraphRejected
    lines = describe(node_errors)
    more = f"; and {len(lines) - 5} more" if len(lines) > 5 else ""
    return kind("; ".join(lines[:5]) + more, node_errors=node_errors)


def describe(node_errors: Mapping[str, Any]) -> list[str]:
    """One line a problem: node, what is wrong, details."""
    return [
        f"{node['class_type']} (node {id}): {error['message']} ({error['details']})"
        for id, node in node_errors.items()
        for error in node["errors"]
    ]
