"""The node types that a saved workflow needs an engine for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from runtime.graph.ui.document import Document, Mode
from runtime.graph.ui.group_defs import GROUP_PREFIXES
from runtime.graph.ui.nodes import current_type
from runtime.graph.ui.virtual import is_virtual_type


def types_named(document: Document) -> frozenset[str]:
    """The types of the nodes that may be sent, in subgraphs and group nodes too."""
    graphs = (document.graph, *document.subgraphs.values())
    types = {current_type(node.type) for graph in graphs for node in graph.nodes.values() if node.mode not in _LEFT_OUT}
    types |= {kind for group in document.groups.values() for kind in _group_types(group)}
    return frozenset(kind for kind in types if not _is_editors(kind, document))


_LEFT_OUT = (Mode.MUTED, Mode.BYPASSED)


def _group_types(group: Mapping[str, Any]) -> Iterator[str]:
    nodes = group.get("nodes")
    for node in nodes if isinstance(nodes, list) else ():
        if isinstance(node, Mapping) and isinstance(node.get("type"), str):
            yield current_type(node["type"])


def _is_editors(kind: str, document: Document) -> bool:
    return is_virtual_type(kind) or kind in document.subgraphs or kind.startswith(GROUP_PREFIXES)
