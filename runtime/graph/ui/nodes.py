"""Nodes of a saved workflow as the editor has them once it is loaded: slots by the node type, widgets with values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from runtime.graph.ui.document import LinkId, Mode, Slot, UiLink, UiNode
from runtime.graph.ui.node_defs import NodeDef
from runtime.graph.ui.widgets import Widget, is_control, settings_of

_RENAMED = {
    "T2IAdapterLoader": "ControlNetLoader",
    "ConditioningAverage ": "ConditioningAverage",
    "SDV_img2vid_Conditioning": "SVD_img2vid_Conditioning",
}
_KSAMPLERS = ("KSampler", "KSamplerAdvanced")
_OLD_SAMPLER = "sample_"


@dataclass(kw_only=True, slots=True, eq=False)
class LiveNode:
    """One node: `class_type` is None for what only the editor knows, `subgraph` is set on an instance of one.

    `serves` answers the number of the input that an output of a virtual node passes on.
    """

    id: str
    type: str
    class_type: str | None
    title: str
    mode: int
    inputs: list[Slot]
    outputs: list[Slot]
    widgets: list[Widget] = field(default_factory=list)
    properties: Mapping[str, Any] = field(default_factory=dict)
    subgraph: LiveGraph | None = None
    is_known: bool = True
    values: Sequence[Any] | Mapping[str, Any] | None = None
    by_link: dict[LinkId, Slot] | None = field(default=None, init=False, repr=False)

    @property
    def is_virtual(self) -> bool:
        return self.class_type is None

    @property
    def is_bypassed(self) -> bool:
        return self.mode == Mode.BYPASSED

    @property
    def is_left_out(self) -> bool:
        return self.mode in (Mode.MUTED, Mode.BYPASSED)

    def widget(self, name: str | None) -> Widget | None:
        """The widget of that name."""
        return next((widget for widget in self.widgets if widget.name == name), None) if name is not None else None

    def input_of(self, link: LinkId) -> Slot | None:
        """The input that takes the link."""
        if self.by_link is None:
            self.by_link = {slot.link: slot for slot in self.inputs if slot.link is not None}
        return self.by_link.get(link)

    def input(self, at: int) -> Slot | None:
        return self.inputs[at] if 0 <= at < len(self.inputs) else None


@dataclass(kw_only=True, slots=True, eq=False)
class LiveGraph:
    """The nodes and links of the workflow itself, or of a subgraph with its inputs and outputs."""

    name: str
    nodes: dict[str, LiveNode]
    links: Mapping[LinkId, UiLink]
    inputs: Sequence[Slot] = ()
    outputs: Sequence[Slot] = ()

    def link(self, id: LinkId | None) -> UiLink | None:
        return None if id is None else self.links.get(id)


def live_node(saved: UiNode, node_def: NodeDef) -> LiveNode:
    """A node of a type that the engine has."""
    widgets = node_def.widgets()
    put_values(widgets, without_forced(saved.values, node_def, widgets))
    _mend_old(saved.type, widgets)
    slots = merged_slots(node_def.slots(), saved.inputs)
    names = {widget.name for widget in widgets}
    return LiveNode(
        id=saved.id,
        type=saved.type,
        class_type=node_def.name,
        title=saved.title or node_def.title,
        mode=saved.mode,
        inputs=[slot for slot in slots if slot.widget is None or slot.widget in names],
        outputs=_outputs(node_def, saved.outputs),
        widgets=widgets,
        properties=saved.properties,
        values=saved.values,
    )


def current_type(saved_type: str) -> str:
    """The name that a node type has now."""
    return _RENAMED.get(saved_type, saved_type)


def merged_slots(defined: Sequence[Slot], saved: Sequence[Slot]) -> list[Slot]:
    """The inputs of a node: those that its type has, with the links that were saved, then the saved ones beyond."""
    by_name = {slot.name: slot for slot in saved}
    known = {slot.name for slot in defined}
    merged = [_linked(slot, by_name[slot.name]) if slot.name in by_name else slot for slot in defined]
    return [*merged, *(slot for slot in saved if slot.name not in known)]


def put_values(widgets: Iterable[Widget], values: Sequence[Any] | Mapping[str, Any] | None) -> None:
    """Give the widgets what was saved: a list by the order of those that are saved, an object by their names."""
    saved = [widget for widget in widgets if widget.saved]
    if isinstance(values, Mapping):
        for widget in saved:
            if widget.name in values:
                widget.put(values[widget.name])
    else:
        for widget, value in zip(saved, values or (), strict=False):
            widget.put(value)


def without_forced(
    values: Sequence[Any] | Mapping[str, Any] | None, node_def: NodeDef, widgets: Sequence[Widget]
) -> Sequence[Any] | Mapping[str, Any] | None:
    """The saved values without those of inputs that were widgets in the editor before 1.16 (`forceInput`)."""
    if values is None or isinstance(values, Mapping):
        return values
    names = {widget.name for widget in widgets}
    forced = {name: bool(settings_of(spec).get("forceInput")) for name, spec in node_def.inputs.items()}
    once = [name for name, is_forced in forced.items() if name in names or is_forced]
    if sum(2 if is_control(node_def.inputs[name], name) else 1 for name in once) != len(values):
        return values
    kept = [value for at, value in enumerate(values) if at >= len(once) or not forced[once[at]]]
    return kept


def _linked(defined: Slot, saved: Slot) -> Slot:
    return replace(defined, label=saved.label, link=saved.link, links=saved.links)


def _outputs(node_def: NodeDef, saved: Sequence[Slot]) -> list[Slot]:
    pairs = zip(node_def.output_names, node_def.output_types, strict=True)
    defined = [
        Slot(name=name, type=kind, links=saved[at].links if at < len(saved) else ())
        for at, (name, kind) in enumerate(pairs)
    ]
    return [*defined, *saved[len(defined) :]]


def _mend_old(node_type: str, widgets: Iterable[Widget]) -> None:
    """Samplers of the editor's first days were saved as `sample_euler`."""
    for widget in widgets if node_type in _KSAMPLERS else ():
        if widget.name == "sampler_name" and isinstance(widget.value, str) and widget.value.startswith(_OLD_SAMPLER):
            widget.value = widget.value.removeprefix(_OLD_SAMPLER)
