from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

Call = Callable[..., Any]


def _dot() -> Tensor:
    mask = torch.zeros(1, 7, 7)
    mask[0, 3, 3] = 0.5
    return mask


def _distances(*, tapered: bool) -> Tensor:
    """How far each pixel lies from the dot, (7, 7): by the sum of both ways, or by the longer one."""
    ways = (torch.arange(7) - 3).abs()
    return ways[:, None] + ways if tapered else torch.maximum(ways[:, None], ways)


@pytest.mark.parametrize("tapered", [True, False], ids=["diamond", "square"])
@pytest.mark.parametrize("pixels", [0, 1, 2])
def test_a_dot_grows_to_every_pixel_that_near(pixels: int, tapered: bool, call: Call) -> None:
    (grown,) = call("GrowMask", mask=_dot(), expand=pixels, tapered_corners=tapered)
    assert torch.equal(grown[0], (_distances(tapered=tapered) <= pixels) * 0.5)


@pytest.mark.parametrize("tapered", [True, False], ids=["diamond", "square"])
def test_a_hole_grows_where_the_mask_shrinks(tapered: bool, call: Call) -> None:
    (shrunk,) = call("GrowMask", mask=1 - _dot(), expand=-2, tapered_corners=tapered)
    assert torch.equal(shrunk[0], 1 - (_distances(tapered=tapered) <= 2) * 0.5)


def test_growing_further_than_the_mask_ends_at_its_edges(call: Call) -> None:
    assert torch.equal(call("GrowMask", mask=_dot(), expand=16384, tapered_corners=True)[0], torch.full((1, 7, 7), 0.5))


def test_each_mask_of_a_batch_grows_by_itself(call: Call) -> None:
    (grown,) = call("GrowMask", mask=torch.cat((_dot(), torch.zeros(1, 7, 7))), expand=1, tapered_corners=False)
    assert grown[0].count_nonzero() == 9
    assert grown[1].count_nonzero() == 0


def test_a_mask_fades_in_from_the_left(call: Call) -> None:
    (faded,) = call("FeatherMask", mask=torch.ones(1, 2, 8), left=4, top=0, right=0, bottom=0)
    assert faded[0, 1].tolist() == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]


def test_from_the_right_the_faintest_column_is_the_first(call: Call) -> None:
    (faded,) = call("FeatherMask", mask=torch.ones(1, 2, 8), left=0, top=0, right=4, bottom=0)
    assert faded[0, 1].tolist() == [0.25, 1, 1, 1, 1, 1, 0.75, 0.5]


def test_both_ways_fade_each_other(call: Call) -> None:
    (faded,) = call("FeatherMask", mask=torch.ones(1, 4, 4), left=2, top=2, right=0, bottom=0)
    assert faded[0, 0].tolist() == [0.25, 0.5, 0.5, 0.5]


def test_a_fade_wider_than_the_mask_is_as_wide_as_the_mask(call: Call) -> None:
    (faded,) = call("FeatherMask", mask=torch.ones(1, 1, 4), left=100, top=0, right=0, bottom=0)
    assert faded[0, 0].tolist() == [0.25, 0.5, 0.75, 1.0]
