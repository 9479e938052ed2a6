"""A workflow in ComfyUI's API format as typed nodes and links."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from runtime.errors import InvalidRequest

_DEEPEST_VALUE = 32
_LONGEST_NAME = 256
_MOST_INPUTS = 20_000
_WRAPPERS = ("input", "prompt", "workflow")


class Link(NamedTuple):
    """The value of an input that comes from output number `output` of node `node_id`."""

    node_id: str
    output: int


class NoLink(NamedTuple):
    """A list in a link's place that is none: a list that is meant as a value comes wrapped, `{"__value__": [...]}`."""

    value: list[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One node: an input's value is a `Link`, a `NoLink` or what the JSON held (a wrapped list is unwrapped)."""

    id: str
    class_type: str
    inputs: Mapping[str, Any]
    title: str | None = None
    links: tuple[tuple[str, Link], ...] = field(init=False, repr=False)
    """Input name and link of every linked input."""

    def __post_init__(self) -> None:
        links = tuple([(name, value) for name, value in self.inputs.items() if type(value) is Link])
        object.__setattr__(self, "links", links)


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
        workflow = read_json(workflow)
    if not isinstance(workflow, Mapping):
        raise InvalidRequest(f"workflow is a {_json_type(workflow)}; expected an object of nodes by id")
    if not workflow:
        raise InvalidRequest("workflow has no nodes; expected at least one output node")
    return Graph(nodes={str(id): _parse_node(str(id), node) for id, node in workflow.items()}, source=workflow)


def read_json(text: str) -> object:
    """What a workflow that came as a string of JSON holds. Raises InvalidRequest where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest(f"workflow is a string that is not JSON: {str(exc)[:200]}") from exc


def _parse_node(id: str, node: object) -> Node:
    _refuse_bad_name(id, "node id", id)
    if not isinstance(node, Mapping):
        raise InvalidRequest(f"node {id!r} is a {_json_type(node)}; expected an object with class_type and inputs")
    class_type, inputs, meta = node.get("class_type"), node.get("inputs", {}), node.get("_meta")
    if not isinstance(class_type, str) or not class_type:
        wraps = "; a request's body is no workflow: the workflow is what lies within it" if id in _WRAPPERS else ""
        raise InvalidRequest(f"node {id!r} has no class_type; expected the name of its node class{wraps}")
    _refuse_bad_name(class_type, "class_type", id)
    if not isinstance(inputs, Mapping):
        raise InvalidRequest(f"inputs of node {id!r} is a {_json_type(inputs)}; expected an object")
    if len(inputs) > _MOST_INPUTS:
        raise InvalidRequest(f"node {id!r} has {len(inputs)} inputs; expected at most {_MOST_INPUTS}")
    title = meta.get("title") if isinstance(meta, Mapping) else None
    return Node(
        id=id,
        class_type=class_type,
        inputs={str(name): _parse_value(value, str(name), id) for name, value in inputs.items()},
        title=title if isinstance(title, str) else None,
    )


def _parse_value(value: Any, name: str, id: str) -> Any:
    _refuse_bad_name(name, "input name", id)
    kind = type(value)
    if kind is list:
        return _parse_list(value, name, id)
    if kind is str and not value.isascii():
        _refuse_half_characters(value, name, id)
    elif kind is dict:
        _refuse_hostile(value, name, id)
        if "__value__" in value:
            return value["__value__"]
    return value


def _parse_list(value: list[Any], name: str, id: str) -> Link | NoLink:
    if len(value) == 2 and type(value[0]) is str and type(value[1]) in (int, float) and value[1] == value[1] // 1:
        _refuse_bad_name(value[0], "link", id)
        return Link(value[0], int(value[1]))
    _refuse_hostile(value, name, id)
    return NoLink(value)


def _refuse_bad_name(name: str, what: str, id: str) -> None:
    if len(name) > _LONGEST_NAME:
        shown = id[:_LONGEST_NAME]
        raise InvalidRequest(f"node {shown!r}: {what} is {len(name)} characters long; expected at most {_LONGEST_NAME}")
    if not name.isascii():
        _refuse_half_characters(name, what, id)


def _refuse_half_characters(text: str, what: str, id: str) -> None:
    """JSON can spell half of a surrogate pair, which has no UTF-8: no file and no store would take it."""
    try:
        text.encode()
    except UnicodeEncodeError as exc:
        raise InvalidRequest(
            f"node {id!r}: {what!a} has half of a character, {text[exc.start]!r}, at place {exc.start}"
        ) from exc


def _refuse_hostile(value: object, name: str, id: str) -> None:
    """Refuse a list or an object that is nested too deep to handle, or that has half characters in it."""
    level = [value]
    for _ in range(_DEEPEST_VALUE):
        for item in level:
            if isinstance(item, str) and not item.isascii():
                _refuse_half_characters(item, name, id)
        level = [child for item in level for child in _children(item)]
        if not level:
            return
    raise InvalidRequest(f"node {id!r} has a value nested deeper than {_DEEPEST_VALUE} levels in {name!r}")


def _children(value: object) -> Iterable[Any]:
    if isinstance(value, dict):
        return [*value, *value.values()]
    return value if isinstance(value, list) else ()


def _json_type(value: object) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
