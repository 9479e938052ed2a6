from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from runtime.diffusion.tiling import map_tiles


@pytest.fixture
def samples() -> Tensor:
    return torch.randn(2, 3, 13, 22, generator=torch.Generator().manual_seed(0))


def _doubled(tile: Tensor) -> Tensor:
    return F.interpolate(tile, scale_factor=2, mode="nearest")


def _halved(tile: Tensor) -> Tensor:
    return tile[:, :, ::2, ::2]


@pytest.mark.parametrize("overlap", [0, 1, 3])
@pytest.mark.parametrize("tile", [(6, 6), (4, 12), (100, 6), (13, 22)], ids=str)
def test_a_function_of_single_places_is_the_same_in_tiles(samples: Tensor, tile: tuple[int, int], overlap: int) -> None:
    tiled = map_tiles(samples, _doubled, tile=tile, overlap=overlap, scale=2, channels=3)
    torch.testing.assert_close(tiled, _doubled(samples))


def test_a_function_may_make_samples_smaller() -> None:
    samples = torch.randn(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    tiled = map_tiles(samples, _halved, tile=(8, 8), overlap=4, scale=0.5, channels=3)
    torch.testing.assert_close(tiled, _halved(samples))


def test_the_function_sees_one_sample_and_no_more_than_a_tile(samples: Tensor) -> None:
    seen: list[tuple[int, ...]] = []
    map_tiles(samples, _recording(_doubled, seen), tile=(6, 8), overlap=2, scale=2, channels=3)
    assert all(batch == 1 and height <= 6 and width <= 8 for batch, _, height, width in seen)
    assert len(seen) == 2 * 3 * 4


def test_a_sample_that_fits_into_a_tile_is_passed_whole(samples: Tensor) -> None:
    seen: list[tuple[int, ...]] = []
    map_tiles(samples, _recording(_doubled, seen), tile=(13, 22), overlap=4, scale=2, channels=3)
    assert seen == [(1, 3, 13, 22)] * 2


def _recording(function: Callable[[Tensor], Tensor], seen: list[tuple[int, ...]]) -> Callable[[Tensor], Tensor]:
    def call(tile: Tensor) -> Tensor:
        seen.append(tuple(tile.shape))
        return function(tile)

    return call


def test_neighbouring_tiles_fade_into_each_other() -> None:
    """Two tiles that answer 0 and 1: the result rises over their overlap, and never falls."""
    answers = iter((0.0, 1.0))
    blended = map_tiles(
        torch.zeros(1, 1, 1, 12), lambda tile: tile + next(answers), tile=(1, 8), overlap=4, scale=1, channels=1
    )
    row = blended[0, 0, 0]
    assert row[:4].tolist() == [0] * 4
    assert row[8:].tolist() == [1] * 4
    assert bool((row.diff() >= 0).all())
    assert 0 < row[5].item() < row[6].item() < 1


def test_an_overlap_that_leaves_no_step_is_refused(samples: Tensor) -> None:
    with pytest.raises(ValueError, match="tiles of 6 places cannot overlap by 6"):
        map_tiles(samples, _doubled, tile=(6, 6), overlap=6, scale=2, channels=3)
