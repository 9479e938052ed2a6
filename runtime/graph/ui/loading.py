"""A saved workflow loaded with an engine's node types, as the editor loads it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from runtime.errors import InvalidRequest
from runtime.graph.ui.document import Document, Slot, Subgraph, UiGraph, UiNode
from runtime.graph.ui.group_defs import GroupDef, group_name
from runtime.graph.ui.group_nodes import group_instance
from runtime.graph.ui.node_defs import NodeDefs
from runtime.graph.ui.node_limit import NodeLimit
from runtime.graph.ui.nodes import LiveGraph, LiveNode, current_type, live_node, merged_slots, put_values
from runtime.graph.ui.virtual import is_virtual, virtual_node
from runtime.graph.ui.widgets import Widget

_DEEPEST = 32


class Loader:
    """Loads the graphs of one document; each subgraph's definition once."""

    def __init__(self, document: Document, defs: NodeDefs, limit: NodeLimit) -> None:
        self._document = document
        self._defs = defs
        self._limit = limit
        self._loaded: dict[str, LiveGraph] = {}
        self._open: list[tuple[str, str]] = []
        self._groups: dict[str, GroupDef] = {}

    def load(self) -> LiveGraph:
        """The workflow's own graph. Raises InvalidRequest where subgraphs are within themselves."""
        return self._load_graph(self._document.graph)

    def _load_graph(self, graph: UiGraph) -> LiveGraph:
        nodes = {id: self.load_node(node) for id, node in graph.nodes.items()}
        if isinstance(graph, Subgraph):
            return LiveGraph(
                name=graph.name, nodes=nodes, links=graph.links, inputs=graph.inputs, outputs=graph.outputs
            )
        return LiveGraph(name=graph.name, nodes=nodes, links=graph.links)

    def load_node(self, saved: UiNode) -> LiveNode:
        """One node; one of a type that nobody knows keeps the slots that it was saved with."""
        self._limit.add()
        saved = replace(saved, type=current_type(saved.type))
        if saved.type in self._document.subgraphs:
            return self._instance(saved)
        group = self._group(saved.type)
        if group is not None:
            with self._within(saved, f"group node {group.name!r}"):
                return group_instance(saved, group, self.load_node)
        if saved.type in self._defs:
            return live_node(saved, self._defs[saved.type])
        if is_virtual(saved.type):
            return virtual_node(saved)
        return LiveNode(
            id=saved.id,
            type=saved.type,
            class_type=saved.type,
            title=saved.title,
            mode=saved.mode,
            inputs=list(saved.inputs),
            outputs=list(saved.outputs),
            properties=saved.properties,
            is_known=False,
        )

    def _group(self, node_type: str) -> GroupDef | None:
        """The group node of that type, read once."""
        name = group_name(node_type)
        if name is None or name not in self._document.groups:
            return None
        if name not in self._groups:
            self._groups[name] = GroupDef(name, self._document.groups[name], self._defs)
        return self._groups[name]

    def _instance(self, saved: UiNode) -> LiveNode:
        """A node that is an instance of a subgraph, with the widgets that its inputs bring to the outside."""
        graph = self._subgraph(saved)
        definition = self._document.subgraphs[saved.type]
        slots = merged_slots([Slot(name=slot.name, type=slot.type) for slot in definition.inputs], saved.inputs)
        widgets: list[Widget] = []
        for at, slot in enumerate(slots):
            inner = _promoted(graph, at) if at < len(definition.inputs) else None
            slot.widget = slot.name if inner is not None else None
            if inner is not None:
                widgets.append(replace(inner, name=slot.name))
        put_values(widgets, saved.values)
        return LiveNode(
            id=saved.id,
            type=saved.type,
            class_type=None,
            title=saved.title or definition.name,
            mode=saved.mode,
            inputs=slots,
            outputs=[Slot(name=slot.name, type=slot.type) for slot in definition.outputs],
            widgets=widgets,
            properties=saved.properties,
            subgraph=graph,
        )

    def _subgraph(self, saved: UiNode) -> LiveGraph:
        id = saved.type
        if id not in self._loaded:
            definition = self._document.subgraphs[id]
            with self._within(saved, f"subgraph {definition.name!r}"):
                self._loaded[id] = self._load_graph(definition)
        return self._loaded[id]

    @contextmanager
    def _within(self, saved: UiNode, what: str) -> Iterator[None]:
        """Load what is in `what`; what is within itself, or too deep, is refused."""
        if (what, saved.type) in self._open:
            raise InvalidRequest(f"node {saved.id}: {what} is within itself")
        if len(self._open) >= _DEEPEST:
            raise InvalidRequest(f"node {saved.id}: subgraphs are nested deeper than {_DEEPEST}")
        self._open.append((what, saved.type))
        yield
        self._open.pop()


def _promoted(graph: LiveGraph, at: int) -> Widget | None:
    """The widget inside that input number `at` of a subgraph sets: the first that one of its links leads to."""
    for id in graph.inputs[at].links:
        link = graph.link(id)
        node = graph.nodes.get(link.target) if link else None
        slot = node.input_of(id) if node else None
        widget = node.widget(slot.widget) if node and slot else None
        if widget is not None:
            return widget
    return None
