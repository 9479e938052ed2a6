from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

Call = Callable[..., Any]
Latent = Callable[..., dict[str, Any]]


@pytest.mark.parametrize(
    ("name", "more", "expected"),
    [
        ("LatentAdd", {}, lambda a, b: a + b),
        ("LatentSubtract", {}, lambda a, b: a - b),
        ("LatentBlend", {"blend_factor": 0.25}, lambda a, b: a * 0.25 + b * 0.75),
        ("LatentInterpolate", {"ratio": 1.0}, lambda a, b: a),
        ("LatentInterpolate", {"ratio": 0.0}, lambda a, b: b),
    ],
    ids=["add", "subtract", "blend", "all of the first", "all of the second"],
)
def test_two_latents_become_one(
    name: str, more: dict[str, float], expected: Callable[..., Any], call: Call, latent: Latent
) -> None:
    first, second = latent(batch_index=[3]), latent(seed=1)
    (made,) = call(name, samples1=first, samples2=second, **more)
    torch.testing.assert_close(made["samples"], expected(first["samples"], second["samples"]))
    assert made["batch_index"] == [3]


def test_a_latent_is_multiplied(call: Call, latent: Latent) -> None:
    made = call("LatentMultiply", samples=latent(), multiplier=-2.0)[0]
    assert torch.equal(made["samples"], latent()["samples"] * -2)


def test_between_two_directions_the_length_changes_evenly(call: Call) -> None:
    first, second = torch.tensor([2.0, 0, 0, 0]), torch.tensor([0, 4.0, 0, 0])
    samples = [{"samples": one.reshape(1, 4, 1, 1)} for one in (first, second)]
    (made,) = call("LatentInterpolate", samples1=samples[0], samples2=samples[1], ratio=0.5)
    assert made["samples"].flatten().tolist() == pytest.approx([3 / 2**0.5, 3 / 2**0.5, 0, 0])


@pytest.mark.parametrize("name", ["LatentAdd", "LatentSubtract"])
def test_the_second_latent_is_fitted_and_repeated(name: str, call: Call, latent: Latent) -> None:
    (made,) = call(name, samples1=latent(6, 8, batch=3), samples2=latent(9, 9))
    assert made["samples"].shape == (3, 4, 6, 8)


def test_a_blended_latent_of_another_size_is_fitted(call: Call, latent: Latent) -> None:
    (made,) = call("LatentBlend", samples1=latent(6, 8), samples2=latent(9, 9), blend_factor=0.5)
    assert made["samples"].shape == (1, 4, 6, 8)
