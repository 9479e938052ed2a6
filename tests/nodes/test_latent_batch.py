from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.nodes.latent_batch import repeated_to

Call = Callable[..., Any]
Latent = Callable[..., dict[str, Any]]


def _masks(count: int) -> Tensor:
    return torch.arange(count).float().reshape(count, 1, 1, 1).expand(count, 1, 8, 8)


@pytest.mark.parametrize(("index", "length", "places"), [(1, 1, [1]), (1, 9, [1, 2]), (63, 1, [2])])
def test_latents_taken_out_of_a_batch_keep_their_places(
    index: int, length: int, places: list[int], call: Call, latent: Latent
) -> None:
    given = latent(batch=3)
    (taken,) = call("LatentFromBatch", samples=given, batch_index=index, length=length)
    assert torch.equal(taken["samples"], given["samples"][places])
    assert taken["batch_index"] == places


def test_places_that_are_known_are_kept(call: Call, latent: Latent) -> None:
    given = latent(batch=3, batch_index=[7, 8, 9])
    assert call("LatentFromBatch", samples=given, batch_index=1, length=2)[0]["batch_index"] == [8, 9]


@pytest.mark.parametrize(("masks", "index", "kept"), [(1, 2, [0.0]), (3, 2, [2.0]), (2, 2, [0.0]), (2, 1, [1.0])])
def test_a_latent_keeps_its_share_of_the_masks(
    masks: int, index: int, kept: list[float], call: Call, latent: Latent
) -> None:
    given = latent(batch=3, noise_mask=_masks(masks))
    (taken,) = call("LatentFromBatch", samples=given, batch_index=index, length=1)
    assert taken["noise_mask"][:, 0, 0, 0].tolist() == kept


def test_a_repeated_batch_takes_new_places(call: Call, latent: Latent) -> None:
    given = latent(batch=2, batch_index=[3, 5], noise_mask=_masks(2))
    (repeated,) = call("RepeatLatentBatch", samples=given, amount=3)
    assert torch.equal(repeated["samples"], torch.cat([given["samples"]] * 3))
    assert repeated["batch_index"] == [3, 5, 6, 8, 9, 11]
    assert repeated["noise_mask"][:, 0, 0, 0].tolist() == [0, 1, 0, 1, 0, 1]


def test_one_mask_for_the_whole_batch_stays_one(call: Call, latent: Latent) -> None:
    (repeated,) = call("RepeatLatentBatch", samples=latent(noise_mask=_masks(1)), amount=3)
    assert repeated["noise_mask"].shape[0] == 1
    assert "batch_index" not in repeated


def test_batched_latents_keep_the_places_of_their_own_batches(call: Call, latent: Latent) -> None:
    first, second = latent(batch=2), latent(seed=1, batch_index=[5])
    (joined,) = call("LatentBatch", samples1=first, samples2=second)
    assert torch.equal(joined["samples"], torch.cat((first["samples"], second["samples"])))
    assert joined["batch_index"] == [0, 1, 5]


def test_a_batched_latent_of_another_size_is_fitted(call: Call, latent: Latent) -> None:
    assert call("LatentBatch", samples1=latent(6, 8), samples2=latent(9, 9))[0]["samples"].shape == (2, 4, 6, 8)


@pytest.mark.parametrize(("behaviour", "places"), [("fixed", [4, 4]), ("random", None)])
def test_a_batch_shares_its_seed_or_does_not(
    behaviour: str, places: list[int] | None, call: Call, latent: Latent
) -> None:
    given = latent(batch=2, batch_index=[4, 5])
    assert call("LatentBatchSeedBehavior", samples=given, seed_behavior=behaviour)[0].get("batch_index") == places


@pytest.mark.parametrize(("size", "rows"), [(1, [0]), (2, [0, 1]), (5, [0, 1, 0, 1, 0])])
def test_a_batch_is_repeated_from_its_start(size: int, rows: list[int]) -> None:
    assert torch.equal(repeated_to(_masks(2), size), _masks(2)[rows])
