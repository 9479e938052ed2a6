"""Workflows whose nodes list their inputs: `{"nodes": {ID: {"class_type", "inputs": [{"name", "value", ...}]}}}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from runtime.errors import InvalidRequest


def is_guide_form(workflow: object) -> bool:
    """Whether `workflow` is of that form: its `nodes` is no node, and no list as the editor's is."""
    nodes = workflow.get("nodes") if isinstance(workflow, Mapping) else None
    return isinstance(nodes, Mapping) and "class_type" not in nodes


def to_api_format(workflow: Mapping[str, Any]) -> Mapping[str, Any]:
    """The same in API format; a link is a value `[NODE_ID, OUTPUT]`, as there.

    Raises InvalidRequest naming a node or an input that is none, and one that is `required` and has no value.
    """
    return {str(id): _node(str(id), node) for id, node in workflow["nodes"].items()}


def _node(id: str, node: Any) -> Any:
    inputs = node.get("inputs") if isinstance(node, Mapping) else None
    if not isinstance(inputs, list):  # which is as in API format, or wrong as it is there
        return node
    given = [_input(id, each) for each in inputs]
    values = {name: value for name, value in given if value is not None}
    return {**{field: value for field, value in node.items() if field != "id"}, "inputs": values}


def _input(id: str, given: Any) -> tuple[str, Any]:
    if not isinstance(given, Mapping) or not isinstance(given.get("name"), str):
        raise InvalidRequest(f"node {id[:100]!r} has an input that is no object with a name: {str(given)[:100]}")
    if given.get("required") is True and given.get("value") is None:
        raise InvalidRequest(f"node {id[:100]!r}: input {given['name'][:100]!r} is required and has no value")
    return given["name"], given.get("value")
