"""What feeds an input in the end: through reroutes, bypassed nodes, and into and out of subgraphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

from runtime.errors import GraphRejected
from runtime.graph.ui.document import INPUT_NODE
from runtime.graph.ui.javascript import types_match
from runtime.graph.ui.nodes import LiveGraph, LiveNode
from runtime.graph.ui.places import Place, Places
from runtime.graph.ui.virtual import GETTER, SETTER


class Origin(NamedTuple):
    """Output number `output` of the node at `place`."""

    place: Place
    output: int


class Held(NamedTuple):
    """A value that the widget of an instance of a subgraph holds."""

    value: Any


@dataclass(frozen=True)
class _Input:
    place: Place
    at: int
    wanted: Any = None
    """The type that the end of the link takes, where the way has already begun."""


@dataclass(frozen=True)
class _Output:
    place: Place
    at: int
    wanted: Any


class _Key(NamedTuple):
    """A step on the way, by what decides how it goes on."""

    place: int
    is_input: bool
    at: int
    wanted: str


class Resolver:
    """Follows links among `places`."""

    def __init__(self, places: Places) -> None:
        self._places = places
        self._known: dict[_Key, Origin | Held | None] = {}
        self._setters = {
            _variable(place.node): place for place in places if place.node.type == SETTER and _variable(place.node)
        }

    def resolve(self, place: Place, at: int) -> Origin | Held | None:
        """What feeds input number `at`; None where nothing does.

        Raises GraphRejected naming the node where the links go in a circle or lead nowhere.
        """
        step: _Input | _Output | Origin | Held | None = _Input(place, at)
        way: set[_Key] = set()
        while isinstance(step, _Input | _Output):
            key = _Key(id(step.place), isinstance(step, _Input), step.at, str(step.wanted))
            if key in way:
                raise _rejected(place, at, f"its links go in a circle through {_named(step.place)}")
            if key in self._known:
                step = self._known[key]
                break
            way.add(key)
            step = self._from_input(step) if isinstance(step, _Input) else self._from_output(step)
        self._known.update(dict.fromkeys(way, step))
        return step

    def _from_input(self, step: _Input) -> _Input | _Output | Held | None:
        place, slot = step.place, step.place.node.inputs[step.at]
        if slot.link is None:
            return None
        link = place.graph.link(slot.link)
        if link is None:
            raise _rejected(place, step.at, f"link {slot.link} is not among the workflow's links")
        if place.outer is not None and link.origin == INPUT_NODE:
            return self._out_of_subgraph(place, step.at, place.outer, link.origin_slot)
        origin = self._places.neighbour(place, link.origin)
        if origin is None:
            raise _rejected(place, step.at, f"link {link.id} comes from node {link.origin}, which does not exist")
        return _Output(origin, link.origin_slot, slot.type if step.wanted is None else step.wanted)

    def _out_of_subgraph(self, place: Place, at: int, outer: Place, number: int) -> _Input | Held | None:
        instance = outer.node
        slot = instance.input(number)
        if slot is None:
            raise _rejected(place, at, f"it is linked to input {number} of its subgraph, which has {_count(instance)}")
        if slot.link is not None:
            return _Input(outer, number)
        widget = instance.widget(slot.widget)
        return None if widget is None else Held(widget.value)

    def _from_output(self, step: _Output) -> _Input | _Output | Origin | None:
        node = step.place.node
        if node.is_bypassed:
            number = _bypass(node, step.at, step.wanted)
            return None if number is None else _Input(step.place, number)
        if node.subgraph is not None:
            return self._into_subgraph(step, node.subgraph)
        if node.type == GETTER:
            setter = self._setters.get(_variable(node))
            return _Input(setter, 0, step.wanted) if setter and setter.node.inputs else None
        if node.is_virtual:
            return _Input(step.place, step.at, step.wanted) if node.input(step.at) else None
        return Origin(step.place, step.at)

    def _into_subgraph(self, step: _Output, graph: LiveGraph) -> _Input | _Output | None:
        place = step.place
        if not 0 <= step.at < len(graph.outputs):
            raise GraphRejected(
                f"{_named(place)} has no output {step.at}; its subgraph has {len(graph.outputs)}",
                node_id=place.id,
            )
        links = graph.outputs[step.at].links
        link = graph.link(links[0]) if links else None
        if link is None:
            return None
        if link.origin == INPUT_NODE:
            return _Input(place, link.origin_slot, step.wanted) if place.node.input(link.origin_slot) else None
        origin = place.inside.get(link.origin)
        if origin is None:
            raise GraphRejected(
                f"{_named(place)}: output {step.at} comes from node {link.origin}, which its subgraph does not have",
                node_id=place.id,
            )
        return _Output(origin, link.origin_slot, step.wanted)


def _bypass(node: LiveNode, output: int, wanted: Any) -> int | None:
    """The input that a bypassed node passes on at `output`, towards an input of type `wanted`."""
    inputs = node.inputs
    if wanted in ("*", ""):
        return (output if len(inputs) > output else 0) if inputs else None
    made = node.outputs[output].type if output < len(node.outputs) else "*"

    def fits(number: int) -> bool:
        return types_match(inputs[number].type, made) and types_match(inputs[number].type, wanted)

    if output < len(inputs) and fits(output):
        return output
    same = (number for number, slot in enumerate(inputs) if slot.type == wanted)
    near = (number for number in range(len(inputs)) if fits(number))
    return next(same, next(near, None))


def _variable(node: LiveNode) -> str:
    """The name that a Set or Get node of KJNodes goes by."""
    values = node.values if isinstance(node.values, list) else ()
    return str(values[0]) if values and isinstance(values[0], str) else ""


def _named(place: Place) -> str:
    return f"node {place.id} ({place.node.type})" if place.node.subgraph is None else f"node {place.id} (a subgraph)"


def _count(node: LiveNode) -> str:
    return f"{len(node.inputs)} inputs"


def _rejected(place: Place, at: int, why: str) -> GraphRejected:
    return GraphRejected(f"{_named(place)}, input {place.node.inputs[at].name!r}: {why}", node_id=place.id)
