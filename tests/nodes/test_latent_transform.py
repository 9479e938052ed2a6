from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

Call = Callable[..., Any]
Latent = Callable[..., dict[str, Any]]


def test_a_quarter_turn_is_clockwise(call: Call, latent: Latent) -> None:
    turned = call("LatentRotate", samples=latent(), rotation="90 degrees")[0]["samples"]
    assert turned.shape == (1, 4, 8, 6)
    assert torch.equal(turned[..., 0, -1], latent()["samples"][..., 0, 0])


@pytest.mark.parametrize(("method", "axis"), [("x-axis: vertically", 2), ("y-axis: horizontally", 3)])
def test_a_flipped_latent_is_turned_round_along_its_axis(method: str, axis: int, call: Call, latent: Latent) -> None:
    flipped = call("LatentFlip", samples=latent(), flip_method=method)[0]["samples"]
    assert torch.equal(flipped, latent()["samples"].flip(axis))


@pytest.mark.parametrize(
    ("x", "y", "corner"), [(16, 8, (1, 2)), (800, 800, (4, 12))], ids=["inside", "too near to the far edges"]
)
def test_a_cropped_latent_begins_at_its_corner(
    x: int, y: int, corner: tuple[int, int], call: Call, latent: Latent
) -> None:
    given = latent(12, 20)
    cropped = call("LatentCrop", samples=given, width=64, height=64, x=x, y=y)[0]["samples"]
    top, left = corner
    assert torch.equal(cropped, given["samples"][..., top : top + 8, left : left + 8])


@pytest.mark.parametrize(("dim", "shape"), [("x", (1, 4, 6, 16)), ("-y", (1, 4, 12, 8)), ("t", (1, 8, 6, 8))])
def test_latents_are_joined_along_an_axis(dim: str, shape: tuple[int, ...], call: Call, latent: Latent) -> None:
    joined = call("LatentConcat", samples1=latent(), samples2=latent(seed=1), dim=dim)[0]["samples"]
    first = latent(seed=1) if dim.startswith("-") else latent()
    assert joined.shape == shape
    assert torch.equal(joined[:, :4, :6, :8], first["samples"])


@pytest.mark.parametrize(
    ("index", "amount", "kept"),
    [(2, 3, slice(2, 5)), (7, 3, slice(7, 8)), (99, 1, slice(7, 8)), (-2, 9, slice(6, 8)), (-99, 2, slice(0, 2))],
)
def test_a_stretch_is_cut_out(index: int, amount: int, kept: slice, call: Call, latent: Latent) -> None:
    cut = call("LatentCut", samples=latent(), dim="x", index=index, amount=amount)[0]["samples"]
    assert torch.equal(cut, latent()["samples"][..., kept])
