from __future__ import annotations

import pytest
import torch

from runtime.diffusion.clip import ClipSize, ClipText
from runtime.diffusion.family import TextLayout
from runtime.diffusion.prompt import Word, pack
from runtime.diffusion.text_layouts import TOWERS, TowerFacts
from runtime.diffusion.tower import Tower

L_ALONE, H, (L_OF_TWO, G) = (
    TOWERS[TextLayout.CLIP_L][0],
    TOWERS[TextLayout.OPENCLIP_H][0],
    TOWERS[TextLayout.CLIP_L_OPENCLIP_G],
)


def _tower(facts: TowerFacts, width: int, depth: int) -> Tower:
    """A tower without weights, which gives shapes but no values."""
    projection = width if facts.needs_projection else None
    size = ClipSize(tokens=49408, width=width, depth=depth, inner=4 * width, projection=projection)
    return Tower(ClipText(size, facts.activation), facts)


@pytest.mark.parametrize(
    ("facts", "depth", "stop_at", "blocks", "norms"),
    [
        (L_ALONE, 12, None, 12, True),
        (L_ALONE, 12, -1, 12, True),
        (L_ALONE, 12, -2, 11, True),
        (H, 24, None, 23, True),
        (L_OF_TWO, 12, None, 11, False),
        (L_OF_TWO, 12, -1, 12, False),
        (L_OF_TWO, 12, -12, 1, False),
        (L_OF_TWO, 12, -13, 12, True),
        (G, 32, None, 31, False),
    ],
)
def test_the_conditioning_is_taken(
    facts: TowerFacts, depth: int, stop_at: int | None, blocks: int, norms: bool
) -> None:
    assert _tower(facts, 64, depth)._stop(stop_at) == (blocks, norms)


def test_openclip_h_without_its_last_block_is_read_behind_the_same_block() -> None:
    whole, cut = _tower(H, 1024, 24), _tower(H, 1024, 23)
    assert [whole._stop(layer) for layer in (None, -2, -24)] == [cut._stop(layer) for layer in (None, -2, -24)]


@pytest.mark.parametrize("count", [1, 65], ids=["one", "more than run at once"])
def test_chunks_are_joined_end_to_end(count: int) -> None:
    tower = _tower(G, 64, 2)
    tower.model.to_empty(device="cpu")
    states, pooled = tower.encode(pack([Word(tokens=[320] * 75 * count)], pad_token=0), stop_at=None)
    assert pooled is not None
    assert (states.shape, pooled.shape) == ((1, 77 * count, 64), (1, 64))
    assert states.dtype == pooled.dtype == torch.float32


def test_only_what_pools_gives_a_pooled_vector() -> None:
    towers = [_tower(facts, 64, 2) for facts in (L_ALONE, L_OF_TWO, G)]
    for tower in towers:
        tower.model.to_empty(device="cpu")
    pooled = [tower.encode(pack([], pad_token=0), stop_at=None)[1] for tower in towers]
    assert [vector is not None for vector in pooled] == [True, False, True]
