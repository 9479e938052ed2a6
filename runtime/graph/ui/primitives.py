"""Primitive nodes: a value in a node of its own, which sets the widgets that it is linked to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from runtime.graph.ui.javascript import is_number
from runtime.graph.ui.nodes import LiveGraph, LiveNode
from runtime.graph.ui.texts import TextReplacer
from runtime.graph.ui.virtual import PRIMITIVE
from runtime.graph.ui.widgets import Spec, Widget, adjusted, settings_of, type_of

_REPLACES = "Run widget replace on values"
_NOT_COMPARED = frozenset(
    ("default", "forceInput", "defaultInput", "control_after_generate", "multiline", "tooltip", "dynamicPrompts")
)


def apply_primitives(graph: LiveGraph, replacer: TextReplacer) -> None:
    """Set the widgets that the primitives of `graph` are linked to."""
    for node in graph.nodes.values():
        if node.type == PRIMITIVE and node.outputs:
            _apply(node, _targets(graph, node), replacer)


def _targets(graph: LiveGraph, node: LiveNode) -> list[Widget]:
    """The widgets that the primitive's output is linked to."""
    found = []
    for id in node.outputs[0].links:
        link = graph.link(id)
        target = graph.nodes.get(link.target) if link else None
        slot = target.input_of(id) if target else None
        widget = target.widget(slot.widget) if target and slot else None
        if widget is not None:
            found.append(widget)
    return found


def _apply(node: LiveNode, targets: list[Widget], replacer: TextReplacer) -> None:
    if not targets:
        return
    value = node.widgets[0].value if node.widgets else targets[0].value
    if isinstance(value, str) and value and node.properties.get(_REPLACES):
        value = replacer.replace(value)
    value = _in_common_range(value, targets)
    for widget in targets:
        widget.put(value)
        widget.value = adjusted(widget.value, widget.spec)


def _in_common_range(value: Any, targets: list[Widget]) -> Any:
    """A number within the ranges of all widgets that it goes to, where their declarations allow one value."""
    spec = targets[0].spec
    if type_of(spec) not in ("INT", "FLOAT") or not is_number(value):
        return value
    for widget in targets:
        merged = _merged(spec, widget.spec)
        if merged is not None:
            spec = merged
            low, high = settings_of(spec)["min"], settings_of(spec)["max"]
            value = adjusted(min(max(value, low), high), spec)
    return value


def _merged(first: Spec, second: Spec) -> Spec | None:
    """One declaration of a number that both allow; None where they differ in more than their ranges."""
    if type_of(first) != type_of(second):
        return None
    one, other = settings_of(first), settings_of(second)
    low = max(one.get("min", -math.inf), other.get("min", -math.inf))
    high = min(one.get("max", math.inf), other.get("max", math.inf))
    if low > high or any(one.get(key) != other.get(key) for key in _compared(one, other)):
        return None
    step = _common_multiple(one.get("step") or 1, other.get("step") or 1)
    return type_of(first), {**one, **other, "min": low, "max": high, "step": step}


def _compared(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    return {*one, *other} - _NOT_COMPARED - {"min", "max", "step"}


def _common_multiple(one: float, other: float) -> float:
    low, high = abs(one), abs(other)
    while low:
        low, high = math.fmod(high, low), low
    return abs(one * other) / high
