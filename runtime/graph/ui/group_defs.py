"""A group node's type: the inputs and outputs that it takes over from the nodes in it.

Group nodes came before subgraphs. A workflow keeps each group's nodes and links in `extra.groupNodes`, and an instance
keeps values by the order of widgets that follows from these, so this order has to be found as the editor finds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from runtime.errors import InvalidRequest
from runtime.graph.ui.document import UiNode, read_node
from runtime.graph.ui.node_defs import NodeDef, NodeDefs
from runtime.graph.ui.nodes import current_type
from runtime.graph.ui.virtual import PRIMITIVE
from runtime.graph.ui.widgets import Spec, is_widget, settings_of

_GROUP_PREFIXES = ("workflow>", "workflow/")
_REROUTE = "Reroute"


@dataclass(frozen=True, slots=True)
class InnerLink:
    """A link within a group, between the numbers of its nodes."""

    origin: int
    origin_slot: int
    target: int
    target_slot: int
    type: Any


def group_name(node_type: str) -> str | None:
    """The name of the group that a node type stands for."""
    prefix = next((prefix for prefix in _GROUP_PREFIXES if node_type.startswith(prefix)), None)
    return node_type.removeprefix(prefix) if prefix else None


class GroupDef:
    """What a group's node type is: `inputs` by name, where they lead, and where its outputs come from."""

    def __init__(self, name: str, saved: Mapping[str, Any], defs: NodeDefs) -> None:
        self.name = name
        place = f" of group node {name!r}"
        nodes = saved.get("nodes")
        if not isinstance(nodes, list):
            raise InvalidRequest(f"group node {name!r} has no list of nodes")
        self.nodes = [read_node(node, place, str(at)) for at, node in enumerate(nodes)]
        self.links = list(_links(saved.get("links"), len(nodes), place))
        self._links_to = {(link.target, link.target_slot): link for link in self.links}
        self._links_from: dict[int, list[InnerLink]] = {}
        for link in self.links:
            self._links_from.setdefault(link.origin, []).append(link)
        self.inputs: dict[str, Spec] = {}
        self.leads_to: dict[str, tuple[int, str]] = {}
        """The node's number and its input, by the name of the group's input."""
        self.outputs: list[tuple[int, int, Any]] = []
        """Number of node, number of its output, and type, in the order of the group's outputs."""
        self._defs = defs
        self._config: Mapping[str, Any] = saved["config"] if isinstance(saved.get("config"), Mapping) else {}
        external = saved.get("external")
        self._external = {
            (each[0], each[1]): each[2] if len(each) > 2 else "*"
            for each in (external if isinstance(external, list) else ())
            if isinstance(each, list) and len(each) > 1 and all(isinstance(part, int) for part in each[:2])
        }
        self._seen: dict[str, int] = {}
        self._primitives: dict[int, tuple[str, str]] = {}
        later = [self._take(at, node) for at, node in enumerate(self.nodes)]
        for at, converted, node_inputs in filter(None, later):
            for slot_name in converted:
                if not self._is_linked(at, slot_name, node_inputs[slot_name]):
                    self._add(at, slot_name, node_inputs[slot_name])

    def node_def(self) -> NodeDef:
        types = tuple(str(kind) for _, _, kind in self.outputs)
        return NodeDef(name=self.name, title=self.name, inputs=self.inputs, output_types=types, output_names=types)

    def _take(self, at: int, node: UiNode) -> tuple[int, list[str], Mapping[str, Spec]] | None:
        """Take over what node number `at` has; the inputs that once were widgets follow those of all nodes."""
        known = self._def_of(at, node)
        if known is None:
            return None
        inputs, outputs = known
        places = {slot.name: place for place, slot in enumerate(node.inputs) if slot.widget == slot.name}
        converted = sorted(
            (name for name in inputs if is_widget(inputs[name]) and name in places), key=places.__getitem__
        )
        for name, spec in inputs.items():
            if is_widget(spec) and name not in converted:
                self._add(at, name, spec)
        for name, spec in inputs.items():
            if not is_widget(spec) and not self._is_linked(at, name, spec):
                self._add(at, name, spec)
        for number, kind in enumerate(outputs):
            if self._is_shown(at, number):
                self.outputs.append((at, number, kind))
        return at, converted, inputs

    def _def_of(self, at: int, node: UiNode) -> tuple[Mapping[str, Spec], Sequence[Any]] | None:
        if current_type(node.type) in self._defs:
            node_def = self._defs[current_type(node.type)]
            return node_def.inputs, node_def.output_types
        used = self._links_from.get(at, [])
        if node.type == PRIMITIVE and used:
            kind = used[0].type
            return {"value": self._primitive_spec(used[0]) if kind == "COMBO" else (kind, {})}, [kind]
        if node.type == _REROUTE:
            return self._reroute(at, used)
        return None

    def _primitive_spec(self, link: InnerLink) -> Spec:
        """The declaration of the choice that a primitive sets."""
        target = self.nodes[link.target]
        name = target.inputs[link.target_slot].name if link.target_slot < len(target.inputs) else ""
        known = self._defs[current_type(target.type)].inputs if current_type(target.type) in self._defs else {}
        return (known[name][0], {}) if name in known else ("COMBO", {"options": []})

    def _reroute(self, at: int, used: Sequence[InnerLink]) -> tuple[Mapping[str, Spec], Sequence[Any]] | None:
        fed = [self._links_to[at, 0]] if (at, 0) in self._links_to else []
        if fed and used and (at, 0) not in self._external:
            return None
        named = (link.type for link in (*used, *fed) if link.type not in (None, "*"))
        kind = next(named, self._external.get((at, 0), "*"))
        return {str(kind): (str(kind), {"forceInput": True})}, [kind]

    def _is_shown(self, at: int, number: int) -> bool:
        visible = _mapping(_mapping(_mapping(self._config.get(str(at))).get("output")).get(str(number))).get("visible")
        if visible is not None:
            return bool(visible)
        is_used = any(link.origin_slot == number for link in self._links_from.get(at, ()))
        return not is_used or (at, number) in self._external

    def _is_linked(self, at: int, name: str, spec: Spec) -> bool:
        """Whether a link within the group feeds the input; a primitive that does so takes over its settings."""
        link = self.link_to(at, name)
        if link is not None and self.nodes[link.origin].type == PRIMITIVE and link.origin in self._primitives:
            new_name, title = self._primitives[link.origin]
            kind = self.inputs[new_name][0]
            settings = {**settings_of(spec), "control_after_generate": True, "control_prefix": title}
            self.inputs[new_name] = (kind, settings)
        return link is not None

    def link_to(self, at: int, name: str) -> InnerLink | None:
        """The link within the group that feeds input `name` of node number `at`."""
        places = (place for place, slot in enumerate(self.nodes[at].inputs) if slot.name == name)
        return next((link for place in places if (link := self._links_to.get((at, place)))), None)

    def _add(self, at: int, name: str, spec: Spec) -> None:
        """Add an input to the group, under a name that no other has."""
        node, config = self.nodes[at], _mapping(_mapping(_mapping(self._config.get(str(at))).get("input")).get(name))
        label = next((slot.label for slot in node.inputs if slot.name == name), None)
        new_name = str(config.get("name") or label or name)
        key, prefix = new_name, ""
        if (node.type == PRIMITIVE and node.title) or new_name in self._seen:
            prefix = f"{node.title or node.type} "
            key = new_name = f"{prefix}{name}"
            if new_name in self._seen:
                new_name = f"{prefix}{self._seen[new_name]} {name}"
        self._seen[key] = self._seen.get(key, 1) + 1
        if config.get("visible") is False and not is_widget(spec):
            return
        if name in ("seed", "noise_seed"):
            spec = (spec[0], {**settings_of(spec), "control_after_generate": f"{prefix}control_after_generate"})
        self.inputs[new_name] = spec
        self.leads_to[new_name] = (at, name)
        if node.type == PRIMITIVE:
            self._primitives[at] = (new_name, new_name.removesuffix(" value"))


def _links(saved: object, count: int, place: str) -> Iterator[InnerLink]:
    for link in saved if isinstance(saved, list) else ():
        if not isinstance(link, list) or len(link) < 4:
            raise InvalidRequest(f"a link{place} is not a list of origin, slot, target, slot")
        if link[0] is None:
            continue  # it came from outside
        numbers = link[:4]
        if not all(isinstance(each, int) and each >= 0 for each in numbers) or max(link[0], link[2]) >= count:
            raise InvalidRequest(f"a link{place} is {str(numbers)[:80]}; expected numbers of its {count} nodes")
        yield InnerLink(link[0], link[1], link[2], link[3], link[5] if len(link) > 5 else "*")


def _mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}
