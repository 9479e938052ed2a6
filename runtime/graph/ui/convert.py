"""From the editor's format to API format, as the editor's own front end (1.27.10) sends it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from runtime.errors import InvalidRequest, UnknownNode
from runtime.graph.ui.document import Document
from runtime.graph.ui.loading import Loader
from runtime.graph.ui.node_defs import NodeDefs
from runtime.graph.ui.node_limit import NodeLimit
from runtime.graph.ui.nodes import LiveNode
from runtime.graph.ui.places import Place, Places
from runtime.graph.ui.primitives import apply_primitives
from runtime.graph.ui.resolving import Held, Resolver
from runtime.graph.ui.texts import SAVES_FILES, Choose, TextReplacer, with_choices
from runtime.graph.ui.widgets import Widget

_NEEDS_BROWSER = {
    "Load3D": "draws a 3D scene in the browser",
    "Load3DAnimation": "draws a 3D scene in the browser",
    "WebcamCapture": "takes a picture with the browser's camera",
}
_MOST_NAMED = 10


def convert(
    document: Document,
    object_info: Mapping[str, Any],
    *,
    choose: Choose,
    now: datetime,
    max_nodes: int,
    sends_unknown: bool = False,
) -> dict[str, Any]:
    """`document`, a workflow as the editor saves it, in API format, with the node types of `object_info`.

    `choose` draws from `{a|b}` in prompts. Raises InvalidRequest or GraphRejected for a workflow that is malformed, and
    UnknownNode naming the nodes whose types `object_info` lacks, unless `sends_unknown`: these are then sent with their
    links alone, for an engine that knows why it does not have them.
    """
    graph = Loader(document, NodeDefs(object_info), NodeLimit(max_nodes)).load()
    places = Places(graph, NodeLimit(max_nodes))
    sent = [place for place in places if not place.node.is_virtual and not place.node.is_left_out]
    if not sends_unknown:
        _refuse_unknown(sent)
    _refuse_needing_a_browser(sent)
    replacer = TextReplacer((place.node for place in places), now)
    for each in {id(place.graph): place.graph for place in places}.values():
        apply_primitives(each, replacer)
    writer = _Writer(Resolver(places), replacer, choose)
    made = {place.id: writer.write(place) for place in sent}
    for node in made.values():
        node["inputs"] = {name: value for name, value in node["inputs"].items() if not _is_dangling(value, made)}
    return made


class _Writer:
    """Writes single nodes in API format."""

    def __init__(self, resolver: Resolver, replacer: TextReplacer, choose: Choose) -> None:
        self._resolver = resolver
        self._replacer = replacer
        self._choose = choose

    def write(self, place: Place) -> dict[str, Any]:
        node = place.node
        inputs = {each.name: _wrapped(self._sent(place, each)) for each in node.widgets if each.sent and each.name}
        for at, slot in enumerate(node.inputs):
            origin = self._resolver.resolve(place, at) if slot.link is not None else None
            if isinstance(origin, Held):
                inputs[slot.name] = _wrapped(origin.value)
            elif origin is not None:
                inputs[slot.name] = [origin.place.id, origin.output]
        return {"inputs": inputs, "class_type": node.class_type, "_meta": {"title": node.title}}

    def _sent(self, place: Place, widget: Widget) -> Any:
        value = place.value_of(widget)
        if not isinstance(value, str):
            return value
        if widget.has_dynamic_prompt:
            return with_choices(value, self._choose)
        if widget.name == "filename_prefix" and place.node.class_type in SAVES_FILES:
            return self._replacer.replace(value)
        return value


def _wrapped(value: Any) -> Any:
    """A list that is a value and no link."""
    return {"__value__": value} if isinstance(value, list) else value


def _is_dangling(value: Any, made: Mapping[str, Any]) -> bool:
    return isinstance(value, list) and value[0] not in made


def _refuse_unknown(sent: list[Place]) -> None:
    unknown = [place for place in sent if not place.node.is_known]
    if unknown:
        named = "; ".join(_named(place) for place in unknown[:_MOST_NAMED])
        more = f" and {len(unknown) - _MOST_NAMED} more" if len(unknown) > _MOST_NAMED else ""
        raise UnknownNode(f"the engine has no node type for {named}{more}", node_id=unknown[0].id)


def _refuse_needing_a_browser(sent: list[Place]) -> None:
    for place in sent:
        reason = _NEEDS_BROWSER.get(place.node.type)
        if reason is not None:
            raise InvalidRequest(f"{_named(place)} {reason}, which nobody does here: give its picture to LoadImage")


def _named(place: Place) -> str:
    node: LiveNode = place.node
    title = f" {node.title!r}" if node.title and node.title != node.type else ""
    return f"node {place.id}{title} ({node.type})"
