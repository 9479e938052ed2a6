from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PrimitiveString", "a cat"),
        ("PrimitiveStringMultiline", "a cat\nand a dog"),
        ("PrimitiveInt", -7),
        ("PrimitiveFloat", 0.25),
        ("PrimitiveBoolean", True),
    ],
)
def test_a_primitive_hands_its_value_on(name: str, value: object, call: Callable[..., Any]) -> None:
    assert call(name, value=value) == (value,)
