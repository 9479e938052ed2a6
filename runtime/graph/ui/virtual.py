"""Nodes that only the editor knows: they shape what is sent and are not sent themselves."""

from __future__ import annotations

from runtime.graph.ui.document import UiNode
from runtime.graph.ui.nodes import LiveNode
from runtime.graph.ui.widgets import Widget

PRIMITIVE = "PrimitiveNode"
SETTER, GETTER = "SetNode", "GetNode"
_TITLES = {"Note": "Note", "MarkdownNote": "Markdown Note", "Reroute": "Reroute", PRIMITIVE: "Primitive"}
_OF_CUSTOM_NODES = (SETTER, GETTER)
_OF_RGTHREE = (
    "Bookmark",
    "Fast Actions Button",
    "Fast Bypasser",
    "Fast Groups Bypasser",
    "Fast Groups Muter",
    "Fast Muter",
    "Label",
    "Mute / Bypass Relay",
    "Mute / Bypass Repeater",
    "Node Collector",
    "Random Unmuter",
    "Reroute",
)
_VIRTUAL = frozenset((*_TITLES, *_OF_CUSTOM_NODES, *(f"{name} (rgthree)" for name in _OF_RGTHREE)))


def is_virtual(node_type: str) -> bool:
    """Whether nodes of this type are the editor's alone."""
    return node_type in _VIRTUAL


def virtual_node(saved: UiNode) -> LiveNode:
    """A node that is the editor's alone; a primitive's value is in its first widget."""
    values = saved.values if isinstance(saved.values, list) else []
    return LiveNode(
        id=saved.id,
        type=saved.type,
        class_type=None,
        title=saved.title or _TITLES.get(saved.type, saved.type),
        mode=saved.mode,
        inputs=list(saved.inputs),
        outputs=list(saved.outputs),
        widgets=[Widget("value", values[0])] if saved.type == PRIMITIVE and values else [],
        properties=saved.properties,
        values=values,
    )
