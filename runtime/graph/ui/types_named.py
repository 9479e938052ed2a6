"""The node types that a saved workflow needs an engine for."""

from __future__ import annotations

from collections.abc import Iterator

from runtime.graph.ui.document import Document, Mode, UiNode, read_node
from runtime.graph.ui.group_defs import group_name
from runtime.graph.ui.nodes import current_type
from runtime.graph.ui.virtual import is_virtual


def types_named(document: Document) -> frozenset[str]:
    """The types of the nodes that may be sent: of the graph, and of the subgraphs and group nodes that it uses."""
    types: set[str] = set()
    entered: set[str] = set()
    nodes = [*document.graph.nodes.values()]
    while nodes:
        node = nodes.pop()
        kind = current_type(node.type)
        if kind in entered:
            continue
        if kind in document.subgraphs or group_name(kind) in document.groups:
            entered.add(kind)  # the nodes within are sent or not by their own modes
            nodes += _within(kind, document)
        elif node.mode not in (Mode.MUTED, Mode.BYPASSED) and not is_virtual(kind):
            types.add(kind)
    return frozenset(types)


def _within(kind: str, document: Document) -> Iterator[UiNode]:
    if kind in document.subgraphs:
        yield from document.subgraphs[kind].nodes.values()
        return
    name = group_name(kind) or ""
    saved = document.groups[name].get("nodes")
    for at, node in enumerate(saved if isinstance(saved, list) else ()):
        yield read_node(node, f" of group node {name!r}", str(at))
