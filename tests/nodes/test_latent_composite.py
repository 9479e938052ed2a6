from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

Call = Callable[..., Any]
Latent = Callable[..., dict[str, Any]]


def _ones(height: int, width: int) -> dict[str, Any]:
    return {"samples": torch.ones(1, 4, height, width)}


def test_a_latent_covers_another_where_it_lies(call: Call, latent: Latent) -> None:
    below, above = latent(6, 8), latent(3, 4, seed=1)
    (pasted,) = call("LatentComposite", samples_to=below, samples_from=above, x=48, y=8, feather=0)
    expected = below["samples"].clone()
    expected[..., 1:4, 6:] = above["samples"][..., :2]
    assert torch.equal(pasted["samples"], expected)


@pytest.mark.parametrize(
    ("x", "row"),
    [
        (16, [0, 0, 0.5, 1, 1, 0.5, 0, 0]),
        (0, [1, 1, 1, 0.5, 0, 0, 0, 0]),
        (32, [0, 0, 0, 0, 0.5, 1, 1, 1]),
    ],
    ids=["inside", "at the left edge", "at the right edge"],
)
def test_edges_fade_where_something_lies_beyond_them(x: int, row: list[float], call: Call) -> None:
    below = {"samples": torch.zeros(1, 4, 4, 8)}
    (pasted,) = call("LatentComposite", samples_to=below, samples_from=_ones(4, 4), x=x, y=0, feather=16)
    assert pasted["samples"][0, 0, 2].tolist() == row


def test_a_corner_fades_both_ways(call: Call) -> None:
    below = {"samples": torch.zeros(1, 4, 8, 8)}
    (pasted,) = call("LatentComposite", samples_to=below, samples_from=_ones(4, 4), x=16, y=16, feather=16)
    assert pasted["samples"][0, 0, 2].tolist() == [0, 0, 0.25, 0.5, 0.5, 0.25, 0, 0]


def test_a_mask_says_how_much_of_a_latent_shows(call: Call, latent: Latent) -> None:
    below, above = latent(6, 8), latent(6, 8, seed=1)
    (pasted,) = call(
        "LatentCompositeMasked",
        destination=below,
        source=above,
        x=0,
        y=0,
        resize_source=False,
        mask=torch.full((1, 48, 64), 0.25),
    )
    torch.testing.assert_close(pasted["samples"], below["samples"] * 0.75 + above["samples"] * 0.25)


def test_without_a_mask_the_source_covers_whole(call: Call, latent: Latent) -> None:
    (pasted,) = call(
        "LatentCompositeMasked", destination=latent(6, 8), source=_ones(2, 2), x=16, y=8, resize_source=False
    )
    assert torch.equal(pasted["samples"][..., 1:3, 2:4], torch.ones(1, 4, 2, 2))
    assert torch.equal(pasted["samples"][..., 3:, :], latent(6, 8)["samples"][..., 3:, :])


def test_the_source_can_be_stretched_over_the_whole(call: Call, latent: Latent) -> None:
    (pasted,) = call(
        "LatentCompositeMasked", destination=latent(6, 8), source=_ones(2, 2), x=0, y=0, resize_source=True
    )
    assert torch.equal(pasted["samples"], torch.ones(1, 4, 6, 8))
