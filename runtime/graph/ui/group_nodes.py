"""Instances of group nodes, made into instances of subgraphs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from runtime.graph.ui.document import INPUT_NODE, LinkId, Slot, UiLink, UiNode
from runtime.graph.ui.group_defs import GroupDef
from runtime.graph.ui.nodes import LiveGraph, LiveNode, live_node
from runtime.graph.ui.virtual import PRIMITIVE
from runtime.graph.ui.widgets import Widget


def group_instance(saved: UiNode, group: GroupDef, load_node: Callable[[UiNode], LiveNode]) -> LiveNode:
    """The instance `saved` of `group`; each has the nodes within it for itself, since its widgets set theirs."""
    outer = live_node(saved, group.node_def())
    nodes = {node.id: _unlinked(load_node(node)) for node in group.nodes}
    links = _inner_links(group, nodes) + _links_from_outside(group, nodes, outer)
    by_id: dict[LinkId, UiLink] = {link.id: link for link in links}
    outputs = []
    for number, (at, slot, kind) in enumerate(group.outputs):
        link = UiLink(f"out{number}", str(at), slot, "", number, kind)
        by_id[link.id] = link
        outputs.append(Slot(name=str(kind), type=kind, links=(link.id,)))
    for name, (at, inner_name) in group.leads_to.items():
        widget = outer.widget(name)
        if widget is not None:
            _set(nodes[str(at)], inner_name, widget)
    outer.class_type = None
    outer.subgraph = LiveGraph(name=group.name, nodes=nodes, links=by_id, inputs=outer.inputs, outputs=outputs)
    return outer


def _unlinked(node: LiveNode) -> LiveNode:
    """The node with slots of its own: the links that are saved with it lie outside of the group."""
    node.inputs = [replace(slot, link=None) for slot in node.inputs]
    node.outputs = [replace(slot, links=()) for slot in node.outputs]
    return node


def _inner_links(group: GroupDef, nodes: dict[str, LiveNode]) -> list[UiLink]:
    made = []
    for number, link in enumerate(group.links):
        target, saved = nodes[str(link.target)], group.nodes[link.target].inputs
        name = saved[link.target_slot].name if link.target_slot < len(saved) else None
        slot = next((slot for slot in target.inputs if slot.name == name), target.input(link.target_slot))
        if slot is not None:
            slot.link = number
            made.append(UiLink(number, str(link.origin), link.origin_slot, target.id, link.target_slot, link.type))
            origin = nodes[str(link.origin)]
            if link.origin_slot < len(origin.outputs):
                out = origin.outputs[link.origin_slot]
                out.links = (*out.links, number)
    return made


def _links_from_outside(group: GroupDef, nodes: dict[str, LiveNode], outer: LiveNode) -> list[UiLink]:
    """A link from each of the group's inputs that something feeds to the node that takes it."""
    made = []
    for number, outer_slot in enumerate(outer.inputs):
        if outer_slot.name not in group.leads_to or outer_slot.link is None:
            continue
        at, name = group.leads_to[outer_slot.name]
        target = nodes[str(at)]
        named = (slot for slot in target.inputs if slot.name == name)
        slot = next(named, target.input(0) if target.is_virtual else None)  # a reroute's input goes by its type
        if slot is not None:
            slot.link = f"in{number}"
            made.append(UiLink(slot.link, INPUT_NODE, number, target.id, target.inputs.index(slot), slot.type))
    return made


def _set(node: LiveNode, name: str, widget: Widget) -> None:
    if node.type == PRIMITIVE:
        node.widgets = [Widget("value", widget.value)]
    elif (inner := node.widget(name)) is not None:
        inner.value = widget.value
