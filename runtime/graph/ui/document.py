"""A workflow as ComfyUI's editor saves it: nodes with slots, links between them, and subgraphs' definitions.

Both of litegraph's schemas are read: 0.4, whose links are arrays, and 1, whose links are objects.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from runtime.errors import InvalidRequest

NodeId = str
LinkId = int | str
INPUT_NODE, OUTPUT_NODE = "-10", "-20"
"""The ids that a subgraph's links have for its own inputs and outputs."""
_LONGEST_NAME = 256
_MOST_SLOTS = 2_000


class Mode(IntEnum):
    """How a node takes part; litegraph's other numbers mean the same as ALWAYS."""

    ALWAYS = 0
    MUTED = 2
    BYPASSED = 4


@dataclass(kw_only=True, slots=True)
class Slot:
    """An input or an output of a node: `link` is what feeds an input, `links` what an output feeds."""

    name: str
    type: Any = "*"
    label: str | None = None
    link: LinkId | None = None
    links: tuple[LinkId, ...] = ()
    widget: str | None = None


@dataclass(frozen=True, slots=True)
class UiLink:
    """From an output's number to an input's."""

    id: LinkId
    origin: NodeId
    origin_slot: int
    target: NodeId
    target_slot: int
    type: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class UiNode:
    """A node as it is saved. `values` is a list by the order of the widgets, or an object by their names."""

    id: NodeId
    type: str
    mode: int
    title: str
    inputs: Sequence[Slot]
    outputs: Sequence[Slot]
    values: Sequence[Any] | Mapping[str, Any] | None = field(repr=False)
    properties: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class UiGraph:
    """The nodes and links of the workflow itself or of one subgraph."""

    name: str
    nodes: Mapping[NodeId, UiNode]
    links: Mapping[LinkId, UiLink]


@dataclass(frozen=True, kw_only=True)
class Subgraph(UiGraph):
    """A subgraph's definition, with its inputs and outputs."""

    id: str
    inputs: Sequence[Slot]
    outputs: Sequence[Slot]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A whole workflow: its graph, the subgraphs by id, and the group nodes as they are saved, by name."""

    graph: UiGraph
    subgraphs: Mapping[str, Subgraph]
    groups: Mapping[str, Mapping[str, Any]]


def is_ui_format(workflow: object) -> bool:
    """Whether `workflow` is what the editor saves."""
    return isinstance(workflow, Mapping) and isinstance(workflow.get("nodes"), list) and "class_type" not in workflow


def read_document(workflow: Mapping[str, Any]) -> Document:
    """Read a saved workflow. Raises InvalidRequest naming the node or link and what was expected."""
    definitions = _mapping(workflow.get("definitions"))
    subgraphs = [_read_subgraph(each) for each in _list(definitions.get("subgraphs"), "definitions.subgraphs")]
    groups = _mapping(_mapping(workflow.get("extra")).get("groupNodes"))
    return Document(
        graph=UiGraph(name="", nodes=_read_nodes(workflow, ""), links=_read_links(workflow, "")),
        subgraphs={subgraph.id: subgraph for subgraph in subgraphs},
        groups={str(name): _mapping(group) for name, group in groups.items()},
    )


def read_node(saved: object, place: str, id: NodeId | None = None) -> UiNode:
    """One node of the graph that `place` names."""
    node = _object(saved, f"a node{place}")
    id = _id(node.get("id"), f"the id of a node{place}") if id is None else id
    what = f"node {id}{place}"
    if not isinstance(node.get("type"), str) or not node["type"]:
        raise InvalidRequest(f"{what} has no type; expected the name of its node class")
    if len(node["type"]) > _LONGEST_NAME:
        raise InvalidRequest(f"{what}: type is {len(node['type'])} characters long; expected at most {_LONGEST_NAME}")
    values = node.get("widgets_values")
    return UiNode(
        id=id,
        type=node["type"],
        mode=_number(node.get("mode", 0), f"mode of {what}"),
        title=node["title"] if isinstance(node.get("title"), str) else "",
        inputs=_read_slots(node, "inputs", what),
        outputs=_read_slots(node, "outputs", what),
        values=values if isinstance(values, list | Mapping) else None,
        properties=_mapping(node.get("properties")),
    )


def _read_subgraph(saved: object) -> Subgraph:
    subgraph = _object(saved, "a subgraph's definition")
    id = _id(subgraph.get("id"), "the id of a subgraph's definition")
    name = str(subgraph.get("name") or id)[:_LONGEST_NAME]
    place = f" of subgraph {name!r}"
    return Subgraph(
        id=id,
        name=name,
        nodes=_read_nodes(subgraph, place),
        links=_read_links(subgraph, place),
        inputs=_read_slots(subgraph, "inputs", f"subgraph {name!r}"),
        outputs=_read_slots(subgraph, "outputs", f"subgraph {name!r}"),
    )


def _read_nodes(graph: Mapping[str, Any], place: str) -> dict[NodeId, UiNode]:
    nodes = [read_node(each, place) for each in _list(graph.get("nodes"), f"nodes{place}")]
    return {node.id: node for node in nodes}


def _read_links(graph: Mapping[str, Any], place: str) -> dict[LinkId, UiLink]:
    links = [_read_link(each, place) for each in _list(graph.get("links"), f"links{place}") if each is not None]
    return {link.id: link for link in links}


def _read_link(saved: object, place: str) -> UiLink:
    if isinstance(saved, list):
        if len(saved) < 5:
            raise InvalidRequest(f"a link{place} has {len(saved)} parts; expected id, origin, slot, target, slot, type")
        fields = [*saved[:6], "*"][:6]
    else:
        link = _object(saved, f"a link{place}")
        names = ("id", "origin_id", "origin_slot", "target_id", "target_slot", "type")
        fields = [link.get(name) for name in names]
    id = _link_id(fields[0], f"the id of a link{place}")
    if id is None:
        raise InvalidRequest(f"a link{place} has no id")
    what = f"link {id}{place}"
    return UiLink(
        id,
        _id(fields[1], f"the origin of {what}"),
        _number(fields[2], f"the origin's slot of {what}"),
        _id(fields[3], f"the target of {what}"),
        _number(fields[4], f"the target's slot of {what}"),
        fields[5],
    )


def _read_slots(owner: Mapping[str, Any], kind: str, what: str) -> list[Slot]:
    """The `inputs` or `outputs` of a node, or of a subgraph."""
    saved = _list(owner.get(kind), f"{kind} of {what}")
    if len(saved) > _MOST_SLOTS:
        raise InvalidRequest(f"{what} has {len(saved)} {kind}; expected at most {_MOST_SLOTS}")
    return [_read_slot(each, f"one of the {kind} of {what}") for each in saved]


def _read_slot(saved: object, what: str) -> Slot:
    slot = _object(saved, what)
    widget = slot.get("widget")
    links = slot.get("linkIds", slot.get("links"))
    return Slot(
        name=str(slot.get("name", ""))[:_LONGEST_NAME],
        type=slot.get("type", "*"),
        label=slot["label"] if isinstance(slot.get("label"), str) else None,
        link=_link_id(slot.get("link"), f"the link of {what}"),
        links=tuple(id for each in _list(links, f"links of {what}") if (id := _link_id(each, what)) is not None),
        widget=str(widget["name"]) if isinstance(widget, Mapping) and widget.get("name") else None,
    )


def _link_id(value: object, what: str) -> LinkId | None:
    if value is None or (isinstance(value, int | str) and not isinstance(value, bool)):
        return value
    raise InvalidRequest(f"{what} is {_shown(value)}; expected a link's number")


def _id(value: object, what: str) -> NodeId:
    if isinstance(value, int | str) and not isinstance(value, bool) and len(str(value)) <= _LONGEST_NAME:
        return str(value)
    raise InvalidRequest(f"{what} is {_shown(value)}; expected a number or a text of at most {_LONGEST_NAME}")


def _number(value: object, what: str) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 2**31 and value == int(value):
        return int(value)
    raise InvalidRequest(f"{what} is {_shown(value)}; expected a whole number")


def _list(value: object, what: str) -> Sequence[Any]:
    if value is None:
        return ()
    if isinstance(value, list):
        return value
    raise InvalidRequest(f"{what} is {_shown(value)}; expected a list")


def _object(value: object, what: str) -> Mapping[str, Any]:
    if isinstance(value, Mapping):
        return value
    raise InvalidRequest(f"{what} is {_shown(value)}; expected an object")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _shown(value: object) -> str:
    if value is None:
        return "missing"
    return f"{value!r}"[:80] if isinstance(value, int | float | str) else f"a {type(value).__name__}"
