"""A workflow in ComfyUI's API format as typed nodes and links."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runtime.errors import InvalidRequest

_DEEPEST_VALUE = 32


class Link(NamedTuple):
    """The value of an input that comes from output number `output` of node `node_id`."""

    node_id: str
    output: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One node: an input's value is a `Link` or what the JSON held (a wrapped list is unwrapped)."""

    id: str
    class_type: str
    inputs: Mapping[str, Any]
    title: str | None = None

    @property
    def links(self) -> Iterator[tuple[str, Link]]:
        """Input name and link of every linked input."""
        return ((name, value) for name, value in self.inputs.items() if type(value) is Link)


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """The nodes by id, in the order of the file, and the JSON that they came from."""

    nodes: Mapping[str, Node]
    source: Mapping[str, Any] = field(repr=False)

    def __len__(self) -> int:
        return len(self.nodes)


def parse_workflow(workflow: object) -> Graph:
    """Read a workflow in API format, `{node_id: {"class_type", "inputs", "_meta"?}}`.

    Raises InvalidRequest naming the node and what was expected in its place.
    """
    if isinstance(workflow, str):
        workflow = _parse_json(workflow)
    if not isinstance(workflow, Mapping):
        raise InvalidRequest(f"workflow is a {_json_type(workflow)}; expected an object of nodes by id")
    if isinstance(workflow.get("nodes"), list) and "links" in workflow:
        raise InvalidRequest(
            "workflow is in the editor's format (it has lists of nodes and links); expected API format: "
            "in ComfyUI's menu choose Workflow > Export (API)"
        )
    if not workflow:
        raise InvalidRequest("workflow has no nodes; expected at least one output node")
    return Graph(nodes={str(id): _parse_node(str(id), node) for id, node in workflow.items()}, source=workflow)


def _parse_json(text: str) -> object:
    try:
        return json.loads(text)
    except ValueError as exc:
        raise InvalidRequest(f"workflow is a string that is not JSON: {exc}") from exc
    except RecursionError as exc:
        raise InvalidRequest("workflow is a string of JSON that is nested too deep") from exc


def _parse_node(id: str, node: object) -> Node:
    if not isinstance(node, Mapping):
        raise InvalidRequest(f"node {id!r} is a {_json_type(node)}; expected an object with class_type and inputs")
    class_type, inputs, meta = node.get("class_type"), node.get("inputs", {}), node.get("_meta")
    if not isinstance(class_type, str) or not class_type:
        raise InvalidRequest(f"node {id!r} has no class_type; expected the name of its node class")
    if not isinstance(inputs, Mapping):
        raise InvalidRequest(f"inputs of node {id!r} is a {_json_type(inputs)}; expected an object")
    title = meta.get("title") if isinstance(meta, Mapping) else None
    return Node(
        id=id,
        class_type=class_type,
        inputs={str(name): _parse_value(value, id) for name, value in inputs.items()},
        title=title if isinstance(title, str) else None,
    )


def _parse_value(value: Any, id: str) -> Any:
    if type(value) is list and len(value) == 2 and isinstance(value[0], str) and type(value[1]) in (int, float):
        return Link(value[0], int(value[1])) if value[1] == value[1] // 1 else value
    if isinstance(value, dict | list):
        _refuse_deep(value, id)
    if type(value) is dict and "__value__" in value:
        return value["__value__"]
    return value


def _refuse_deep(value: object, id: str) -> None:
    level = [value]
    for _ in range(_DEEPEST_VALUE):
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise InvalidRequest(f"node {id!r} has a value nested deeper than {_DEEPEST_VALUE} levels")


def _children(value: object) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list) else ()


def _json_type(value: object) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
