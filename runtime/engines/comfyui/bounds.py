"""The deployment's limits on what a graph may ask of ComfyUI's nodes, whose own classes know of none."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Any

from runtime.engines.limits import GraphLimits
from runtime.graph.problems import Problem, shown
from runtime.graph.workflow import Graph, Node

_log = logging.getLogger(__name__)


def over_limits(
    graph: Graph, ids: Iterable[str], classes: Mapping[str, Any], limits: GraphLimits
) -> dict[str, list[Problem]]:
    """Of the nodes `ids`, the problems of constant inputs that are above the limit that their name has.

    An input is bounded where the node's class declares it as a whole number; values that come by links are not known
    yet.
    """
    problems = {id: _problems(graph.nodes[id], classes[graph.nodes[id].class_type], limits) for id in ids}
    return {id: found for id, found in problems.items() if found}


def _problems(node: Node, node_class: Any, limits: GraphLimits) -> list[Problem]:
    bounded = {name: bound for name in node.inputs if (bound := limits.of_input(name, node.inputs)) is not None}
    if not bounded:
        return []
    declared = _declared(node, node_class)
    return [
        _problem(name, node.inputs[name], *bound, declared[name])
        for name, bound in bounded.items()
        if name in declared and _whole(declared[name]) and _number(node.inputs[name]) > bound[0]
    ]


def _declared(node: Node, node_class: Any) -> dict[str, Any]:
    """The class's declarations by input name; none where a custom node's class cannot tell them."""
    try:
        types = node_class.INPUT_TYPES()
        return {**types.get("required", {}), **types.get("optional", {})}
    except Exception as exc:  # a custom node's own code; ComfyUI's check says what is wrong with it
        _log.warning("INPUT_TYPES of %s (node %s) failed: %s", node.class_type, node.id, exc)
        return {}


def _whole(declaration: Any) -> bool:
    return isinstance(declaration, list | tuple) and declaration[:1] in (("INT",), ["INT"])


def _number(value: object) -> int:
    """The value as ComfyUI will read it; 0 for a link, and for what is no number, which its check refuses."""
    try:
        return int(value) if isinstance(value, int | float | str) else 0
    except (ValueError, OverflowError):
        return 0


def _problem(name: str, value: object, most: float, setting: str, declaration: Any) -> Problem:
    return Problem(
        type="value_bigger_than_max",
        message=f"the value {shown(value)} is above this deployment's limit, {most:g} ({setting})",
        details=name,
        extra_info={"input_name": name, "input_config": list(declaration), "received_value": value},
    )
