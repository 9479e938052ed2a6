from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

Call = Callable[..., Any]


def _given() -> list[Any]:
    return [[torch.zeros(1, 2, 3), {"pooled_output": None}]]


def test_an_area_in_pixels_is_kept_in_latent_steps(call: Call) -> None:
    (limited,) = call("ConditioningSetArea", conditioning=_given(), width=128, height=64, x=16, y=8, strength=0.5)
    options = limited[0][1]
    assert options["area"] == (8, 16, 1, 2)
    assert (options["strength"], options["set_area_to_bounds"]) == (0.5, False)


def test_an_area_in_parts_says_so(call: Call) -> None:
    (limited,) = call(
        "ConditioningSetAreaPercentage", conditioning=_given(), width=0.5, height=0.25, x=0.1, y=0.2, strength=1.0
    )
    assert limited[0][1]["area"] == ("percentage", 0.25, 0.5, 0.2, 0.1)


def test_a_strength_is_set_by_itself(call: Call) -> None:
    (weighed,) = call("ConditioningSetAreaStrength", conditioning=_given(), strength=0.5)
    assert weighed[0][1] == {"pooled_output": None, "strength": 0.5}


@pytest.mark.parametrize(("where", "to_bounds"), [("default", False), ("mask bounds", True)])
def test_a_mask_may_limit_the_area_to_its_bounds(where: str, to_bounds: bool, call: Call) -> None:
    (masked,) = call(
        "ConditioningSetMask", conditioning=_given(), mask=torch.ones(8, 8), strength=2.0, set_cond_area=where
    )
    options = masked[0][1]
    assert options["mask"].shape == (1, 8, 8)
    assert (options["mask_strength"], options["set_area_to_bounds"]) == (2.0, to_bounds)
