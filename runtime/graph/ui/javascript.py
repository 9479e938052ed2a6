"""What the editor's language does with values, where it shows in what the editor sends."""

from __future__ import annotations

import math
import sys
from typing import Any


def text_of(value: Any) -> str:
    """`value` as JavaScript makes a text of it."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    if isinstance(value, list):
        return ",".join("" if each is None else text_of(each) for each in value)
    return "[object Object]" if isinstance(value, dict) else str(value)


def rounded(value: float) -> float:
    """`value` at the nearest whole number, halves upwards."""
    return math.floor(value + 0.5)


def is_number(value: Any) -> bool:
    """Whether `value` is a finite number as JavaScript has them."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def is_truthy(value: Any) -> bool:
    """Whether JavaScript takes `value` for true: also an empty list or object, but no empty text."""
    return isinstance(value, list | dict) or bool(value)


def types_match(first: Any, second: Any) -> bool:
    """Whether slots of these types may be linked: `*` fits all, and a type may be several with commas between."""
    one, other = (_type_names(each) for each in (first, second))
    return not one or not other or not one.isdisjoint(other)


def _type_names(slot_type: Any) -> frozenset[str]:
    """The names in a slot's type, in small letters; none where it takes any."""
    text = text_of(slot_type)
    if slot_type in (None, 0, False) or text in ("", "*"):
        return frozenset()
    names = text.lower().split(",")
    return frozenset() if any(name in ("", "*") for name in names) else frozenset(names)
