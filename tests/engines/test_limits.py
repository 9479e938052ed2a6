from __future__ import annotations

from typing import Any

import pytest

from runtime.engines.limits import GraphLimits

LIMITS = GraphLimits(max_pixels=1000, max_batch=8, max_steps=50)


@pytest.mark.parametrize(
    ("name", "inputs", "bound"),
    [
        ("batch_size", {}, (8, "MAX_BATCH")),
        ("batch_size", {"width": 10, "height": 10}, (8, "MAX_BATCH")),
        ("batch_size", {"width": 10, "height": 20}, (5, "MAX_PIXELS / width / height")),
        ("batch_size", {"width": 100, "height": 20}, (8, "MAX_BATCH")),
        ("batch_size", {"width": ["1", 0], "height": 20}, (8, "MAX_BATCH")),
        ("amount", {}, None),
        ("steps", {}, (50, "MAX_STEPS")),
        ("width", {}, (1000, "MAX_PIXELS")),
        ("height", {"width": 100}, (10, "MAX_PIXELS / width")),
        ("height", {"width": "100"}, (10, "MAX_PIXELS / width")),
        ("height", {"width": 100.0}, (10, "MAX_PIXELS / width")),
        ("height", {"width": 0}, (1000, "MAX_PIXELS / width")),
        ("height", {"width": -5}, (1000, "MAX_PIXELS / width")),
        ("height", {"width": "wide"}, (1000, "MAX_PIXELS / width")),
        ("height", {"width": float("inf")}, (1000, "MAX_PIXELS / width")),
        ("height", {"width": ["1", 0]}, (1000, "MAX_PIXELS / width")),
        ("height", {}, (1000, "MAX_PIXELS / width")),
        ("seed", {}, None),
    ],
    ids=str,
)
def test_an_input_is_bounded_by_its_name(name: str, inputs: dict[str, Any], bound: Any) -> None:
    assert LIMITS.of_input(name, inputs) == bound
