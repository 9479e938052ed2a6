"""Everything that is wrong with a graph, found at once, before any of it runs.

The names of the problems and the rule of which outputs still run are ComfyUI's (execution.py, `validate_prompt`):
an output with nothing wrong above it runs, the others are reported. A node class that is not here refuses the whole
graph, whichever output needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from runtime.errors import GraphRejected, ModelMissing, UnknownNode
from runtime.graph.hints import Hints
from runtime.graph.input_check import Files, InputCheck
from runtime.graph.node_type import NodeType
from runtime.graph.own_validation import run_own_validation
from runtime.graph.problems import Problem, shown
from runtime.graph.verdict import describe, judge
from runtime.graph.walk import walk
from runtime.graph.workflow import Graph, Link, Node

_MOST_LINES = 5
_MOST_WARNINGS = 50


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
        """One line a problem of a graph that runs in part, at most 50 of them."""
        if not self.outputs or not self.node_errors:
            return []
        lines = [f"left out: {line}" for line in describe(self.node_errors)]
        more = [f"left out: {len(lines) - _MOST_WARNINGS} more problems"] if len(lines) > _MOST_WARNINGS else []
        return lines[:_MOST_WARNINGS] + more


def check_graph(graph: Graph, types: NodeTypes, files: Files) -> CheckReport:
    """Check every node that an output needs. Time grows linearly with the nodes; there is no recursion."""
    found = {id: types.get(node.class_type) for id, node in graph.nodes.items()}
    known = {id: node_type for id, node_type in found.items() if node_type is not None}
    unknown = [id for id in graph.nodes if id not in known]
    outputs = [id for id, node_type in known.items() if node_type.is_output]
    if not outputs and not unknown:
        return _rejected(graph, GraphRejected(NO_OUTPUTS), {})
    order, problems = walk(graph, [*outputs, *unknown])
    hints = Hints()
    for id in unknown:
        problems.setdefault(id, []).insert(0, _unknown(graph.nodes[id], types.names(), hints))
    nodes = _check_nodes(graph, order, known, InputCheck(files, hints), problems)
    checked = Graph(nodes=nodes, source=graph.source)
    if not problems:
        return CheckReport(graph=checked, outputs=tuple(outputs), node_errors={}, error=None)
    good, node_errors = judge(checked, outputs, order, problems)
    if unknown:
        return _rejected(checked, _unknown_node(node_errors, unknown), node_errors)
    if not good:
        return _rejected(checked, _rejection(node_errors), node_errors)
    return CheckReport(graph=checked, outputs=good, node_errors=node_errors, error=None)


_MORE_NODES = "; COMFYUI_PATH brings ComfyUI's other nodes and custom ones, NATIVE_NODES_PATH classes of your own"
NO_OUTPUTS = "prompt_no_outputs: the workflow has no output node; expected at least one such as SaveImage"


def _rejected(graph: Graph, error: GraphRejected | ModelMissing, node_errors: Mapping[str, Any]) -> CheckReport:
    return CheckReport(graph=graph, outputs=(), node_errors=node_errors, error=error)


def _unknown(node: Node, names: Sequence[str], hints: Hints) -> Problem:
    near = hints.near(node.class_type, names)[:1]
    return Problem(
        type="invalid_prompt",
        message=f"there is no node class {shown(node.class_type)}",
        details=f"did you mean {near[0]}?" if near else "no class here has a near name",
        extra_info={"class_type": node.class_type, "nearest": near},
    )


def _check_nodes(
    graph: Graph,
    order: Sequence[str],
    known: Mapping[str, NodeType],
    inputs: InputCheck,
    problems: dict[str, list[Problem]],
) -> dict[str, Node]:
    """The nodes with their values converted; what is wrong with them is added to `problems`."""

    def output_type(link: Link) -> Any:
        if link.node_id not in known:
            return "*"  # the missing node or class is a problem of its own
        returned = known[link.node_id].return_types
        return returned[link.output] if 0 <= link.output < len(returned) else None

    nodes = dict(graph.nodes)
    for id in order:
        node_type = known.get(id)
        if node_type is not None:
            nodes[id], found = _check_node(nodes[id], node_type, output_type, inputs)
            if found:
                problems.setdefault(id, []).extend(found)
    return nodes


def _check_node(
    node: Node, node_type: NodeType, output_type: Callable[[Link], Any], inputs: InputCheck
) -> tuple[Node, list[Problem]]:
    values, received, problems = inputs.check(node, node_type, output_type)
    if values is not None:
        node = Node(id=node.id, class_type=node.class_type, inputs=values, title=node.title)
    if (node_type.validates or node_type.validates_all) and not problems:
        problems = run_own_validation(node, node_type, received)
    return node, problems


def _unknown_node(node_errors: Mapping[str, Any], unknown: Sequence[str]) -> UnknownNode:
    lines = describe({id: node_errors[id] for id in unknown})
    found = [error for id in unknown for error in node_errors[id]["errors"]]
    is_spelling = all(error["extra_info"].get("nearest", True) for error in found)
    return UnknownNode(shortened(lines) + ("" if is_spelling else _MORE_NODES), node_errors=node_errors)


def _rejection(node_errors: Mapping[str, Any]) -> GraphRejected | ModelMissing:
    """ModelMissing where absent models are all that is wrong, else GraphRejected."""
    found = [error for node in node_errors.values() for error in node["errors"]]
    only_models = all("folder" in error["extra_info"] for error in found)
    kind: Callable[..., GraphRejected | ModelMissing] = ModelMissing if only_models else GraphRejected
    return kind(shortened(describe(node_errors)), node_errors=node_errors)


def shortened(lines: Sequence[str]) -> str:
    """The first lines, and how many more there are."""
    more = f"; and {len(lines) - _MOST_LINES} more" if len(lines) > _MOST_LINES else ""
    return "; ".join(lines[:_MOST_LINES]) + more
