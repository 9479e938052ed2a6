"""ComfyUI's own check of a graph, reported as ours."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from runtime.engines.comfyui.bounds import over_limits
from runtime.engines.comfyui.model_files import MODEL_SUFFIXES
from runtime.engines.comfyui.packages import NodePackages
from runtime.engines.limits import GraphLimits
from runtime.errors import GraphRejected, ModelMissing, UnknownNode
from runtime.graph.check import NO_OUTPUTS, CheckReport, shortened
from runtime.graph.hints import Hints
from runtime.graph.problems import Problem, plain, shown
from runtime.graph.verdict import describe, judge
from runtime.graph.walk import walk
from runtime.graph.workflow import Graph, Link, NoLink

Prompt = dict[str, Any]
Verdict = tuple[bool, Mapping[str, Any] | None, Sequence[str], Mapping[str, Any]]

_FRAMES_A_NODE = 8  # of Python's stack, that ComfyUI's check takes for each node of a chain


def check(
    graph: Graph,
    classes: Mapping[str, Any],
    packages: NodePackages,
    limits: GraphLimits,
    validate: Callable[[Prompt], Verdict],
) -> CheckReport:
    """Find every problem of the graph; the report's graph has the values as `validate`, ComfyUI's, converted them."""
    unknown = [id for id, node in graph.nodes.items() if node.class_type not in classes]
    if unknown:
        return _refuse_unknown(graph, unknown, classes, packages)
    outputs = [
        id for id, node in graph.nodes.items() if getattr(classes[node.class_type], "OUTPUT_NODE", False) is True
    ]
    if not outputs:
        return _rejected(graph, GraphRejected(NO_OUTPUTS), {})
    order, problems = walk(graph, outputs)
    for id, over in over_limits(graph, order, classes, limits).items():
        problems.setdefault(id, []).extend(over)
    good, node_errors = judge(graph, outputs, order, problems) if problems else (tuple(outputs), {})
    prompt = prompt_of(graph)
    if good:
        with _deep_stack(len(graph)):
            asked = {id: node for id, node in prompt.items() if id not in outputs or id in good}
            _, error, valid, found = validate(asked)
        good = tuple(id for id in good if id in set(valid))
        node_errors |= {id: _plain_errors(errors) for id, errors in found.items()}
        if not good and not node_errors:
            return _rejected(graph, GraphRejected(_one_line(error)), {})
    checked = Graph(nodes=graph.nodes, source=prompt)
    if not good:
        return _rejected(checked, _rejection(node_errors), node_errors)
    return CheckReport(graph=checked, outputs=good, node_errors=node_errors, error=None)


def prompt_of(graph: Graph) -> Prompt:
    """The graph in ComfyUI's own form, its own to change."""
    return {
        id: {
            "class_type": node.class_type,
            "inputs": {name: _value(value) for name, value in node.inputs.items()},
            **({"_meta": {"title": node.title}} if node.title is not None else {}),
        }
        for id, node in graph.nodes.items()
    }


def _value(value: Any) -> Any:
    if isinstance(value, Link):
        return list(value)
    if isinstance(value, NoLink):
        return list(value.value)
    if isinstance(value, list):
        return {"__value__": copy.deepcopy(value)}
    return copy.deepcopy(value) if isinstance(value, dict) else value


def _refuse_unknown(
    graph: Graph, unknown: Sequence[str], classes: Mapping[str, Any], packages: NodePackages
) -> CheckReport:
    hints = Hints()
    names = list(classes)
    problems = {id: [_unknown(graph.nodes[id].class_type, names, packages, hints)] for id in unknown}
    _, node_errors = judge(graph, (), (), problems)
    error = UnknownNode(shortened(describe(node_errors)), node_errors=node_errors)
    return _rejected(graph, error, node_errors)


def _unknown(class_type: str, names: Sequence[str], packages: NodePackages, hints: Hints) -> Problem:
    why = packages.why_absent(class_type)
    near = [] if why else hints.near(class_type, names)[:1]
    return Problem(
        type="invalid_prompt",
        message=f"there is no node class {shown(class_type)}",
        details=why or (f"did you mean {near[0]}?" if near else "no class here has a near name"),
        extra_info={"class_type": class_type, "nearest": near},
    )


def _rejected(graph: Graph, error: GraphRejected | ModelMissing, node_errors: Mapping[str, Any]) -> CheckReport:
    return CheckReport(graph=graph, outputs=(), node_errors=node_errors, error=error)


def _rejection(node_errors: Mapping[str, Any]) -> GraphRejected | ModelMissing:
    """ModelMissing where absent models are all that is wrong, else GraphRejected."""
    found = [error for node in node_errors.values() for error in node["errors"]]
    kind: Callable[..., GraphRejected | ModelMissing] = ModelMissing if all(map(_names_model, found)) else GraphRejected
    return kind(shortened(describe(node_errors)), node_errors=node_errors)


def _names_model(error: Mapping[str, Any]) -> bool:
    received = error["extra_info"].get("received_value")
    is_name = isinstance(received, str) and received.lower().endswith(MODEL_SUFFIXES)
    return error["type"] == "value_not_in_list" and is_name


def _plain_errors(node: Mapping[str, Any]) -> dict[str, Any]:
    """ComfyUI's report on a node as JSON types, without the tracebacks."""
    return {**node, "errors": [_plain_error(error) for error in node["errors"]]}


def _plain_error(error: Mapping[str, Any]) -> dict[str, Any]:
    info = {name: plain(value) for name, value in error.get("extra_info", {}).items() if name != "traceback"}
    return {**error, "details": str(error.get("details", "")), "extra_info": info}


def _one_line(error: Mapping[str, Any] | None) -> str:
    return f"{error['type']}: {error['message']} {error['details']}".strip() if error else "ComfyUI gave no reason"


@contextmanager
def _deep_stack(nodes: int) -> Iterator[None]:
    """Room for ComfyUI's check, which walks a chain of nodes by recursion."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(before + _FRAMES_A_NODE * nodes)
    try:
        yield
    finally:
        sys.setrecursionlimit(before)
