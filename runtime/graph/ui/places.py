"""Where nodes stand once subgraphs are flattened: each instance of a subgraph gives its nodes places of their own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from runtime.graph.ui.document import INPUT_NODE, Slot
from runtime.graph.ui.node_limit import NodeLimit
from runtime.graph.ui.nodes import LiveGraph, LiveNode
from runtime.graph.ui.widgets import Widget


@dataclass(frozen=True, kw_only=True, eq=False)
class Place:
    """A node in its graph, under the instances of subgraphs that lead to it: `outer` is the innermost of these."""

    node: LiveNode
    graph: LiveGraph
    outer: Place | None = None
    inside: dict[str, Place] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """The node's id in API format: the ids of the instances and its own, with colons between."""
        return f"{self.outer.id}:{self.node.id}" if self.outer else self.node.id

    def value_of(self, widget: Widget) -> Any:
        """What `widget` of this node holds; the instance's own widget sets it where it is brought to the outside."""
        place: Place | None = self
        while place is not None:
            slot = next((slot for slot in place.node.inputs if slot.widget == widget.name), None)
            outer_slot = place.outer_slot(slot) if slot else None
            outer = place.outer.node.widget(outer_slot.widget) if place.outer and outer_slot else None
            if outer is None:
                break
            place, widget = place.outer, outer
        return widget.value

    def outer_slot(self, slot: Slot) -> Slot | None:
        """The input of the instance around this node that feeds `slot`; None where something else does."""
        link = self.graph.link(slot.link)
        if link is None or self.outer is None or link.origin != INPUT_NODE:
            return None
        return self.outer.node.input(link.origin_slot)


class Places:
    """All places of a workflow. Raises GraphRejected where they are more than `limit` takes."""

    def __init__(self, graph: LiveGraph, limit: NodeLimit) -> None:
        self._limit = limit
        self.roots = self._expand(graph, None)

    def _expand(self, graph: LiveGraph, outer: Place | None) -> dict[str, Place]:
        places: dict[str, Place] = {}
        for node in graph.nodes.values():
            self._limit.add()
            places[node.id] = place = Place(node=node, graph=graph, outer=outer)
            if node.subgraph is not None:
                place.inside.update(self._expand(node.subgraph, place))
        return places

    def neighbour(self, place: Place, id: str) -> Place | None:
        """The node with that id in the same graph, at the same instance."""
        return (place.outer.inside if place.outer else self.roots).get(id)

    def __iter__(self) -> Iterator[Place]:
        return _walk(self.roots)


def _walk(places: dict[str, Place]) -> Iterator[Place]:
    for place in places.values():
        yield from _walk(place.inside)
        yield place
