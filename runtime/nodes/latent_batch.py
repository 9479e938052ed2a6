"""Nodes that take latents out of a batch or put them into one.

`batch_index` keeps, for each latent, its place in the batch that its noise is drawn for, so that a picture taken out
of a batch comes out as it did in the batch.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from runtime.nodes.inputs import InputTypes, Latent, choice, integer
from runtime.nodes.pictures import LATENT_SCALE, Pictures
from runtime.nodes.resize import resize

if TYPE_CHECKING:
    from torch import Tensor


def repeated_to(batch: Tensor, size: int) -> Tensor:
    """`batch` (B, ...) repeated from its start, or cut, to (size, ...)."""
    if batch.shape[0] == size:
        return batch
    times = math.ceil(size / batch.shape[0])
    return batch.repeat(times, *[1] * (batch.ndim - 1))[:size]


def fitted_to(latent: Tensor, like: Tensor) -> Tensor:
    """`latent` (B, C, h, w), cut in the middle and resized to the height and width of `like`."""
    if latent.shape[1:] == like.shape[1:]:
        return latent
    return resize(latent, like.shape[-1], like.shape[-2], "bilinear", "center")


class LatentFromBatch:
    """`length` latents of a batch from `batch_index` on, with their share of the noise mask."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "take"
    CATEGORY = "latent/batch"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "samples": ("LATENT",),
                "batch_index": integer(0, 0, 63),
                "length": integer(1, 1, 64),
            }
        }

    def take(self, samples: Latent, batch_index: int, length: int) -> tuple[Latent]:
        latent: Tensor = samples["samples"]
        start = min(latent.shape[0] - 1, batch_index)
        part = slice(start, min(latent.shape[0], start + length))
        taken = {**samples, "samples": latent[part].clone(), "batch_index": _places(samples)[part]}
        if "noise_mask" in samples:
            taken["noise_mask"] = _mask_part(samples["noise_mask"], latent.shape[0], part)
        return (taken,)


class RepeatLatentBatch:
    """The whole batch `amount` times."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "repeat"
    CATEGORY = "latent/batch"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"samples": ("LATENT",), "amount": integer(1, 1, 64)}}

    @staticmethod
    def PICTURES(samples: Latent, amount: int) -> Pictures:
        latent: Tensor = samples["samples"]
        return Pictures(latent.shape[0] * amount, latent.shape[-2] * LATENT_SCALE, latent.shape[-1] * LATENT_SCALE)

    def repeat(self, samples: Latent, amount: int) -> tuple[Latent]:
        repeated = {**samples, "samples": _times(samples["samples"], amount)}
        if "noise_mask" in samples and samples["noise_mask"].shape[0] > 1:
            repeated["noise_mask"] = _times(samples["noise_mask"], amount)
        if "batch_index" in samples:
            repeated["batch_index"] = _repeated_places(samples["batch_index"], amount)
        return (repeated,)


class LatentBatch:
    """The latents of `samples2`, resized where they must be, behind those of `samples1`."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "batch"
    CATEGORY = "latent/batch"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"samples1": ("LATENT",), "samples2": ("LATENT",)}}

    def batch(self, samples1: Latent, samples2: Latent) -> tuple[Latent]:
        first: Tensor = samples1["samples"]
        joined = torch.cat((first, fitted_to(samples2["samples"], first)))
        return ({**samples1, "samples": joined, "batch_index": _places(samples1) + _places(samples2)},)


class LatentBatchSeedBehavior:
    """Whether every latent of a batch gets noise of its own ("random") or all get the first one's ("fixed")."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "set_behavior"
    CATEGORY = "latent/advanced"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "samples": ("LATENT",),
                "seed_behavior": (*choice("random", "fixed"), {"default": "fixed"}),
            }
        }

    def set_behavior(self, samples: Latent, seed_behavior: str) -> tuple[Latent]:
        if seed_behavior == "random":
            return ({key: value for key, value in samples.items() if key != "batch_index"},)
        return ({**samples, "batch_index": _places(samples)[:1] * samples["samples"].shape[0]},)


def _places(samples: Latent) -> list[int]:
    own: list[int] | None = samples.get("batch_index")
    return list(range(samples["samples"].shape[0])) if own is None else own


def _mask_part(masks: Tensor, batch: int, part: slice) -> Tensor:
    return masks.clone() if masks.shape[0] == 1 else repeated_to(masks, max(batch, masks.shape[0]))[part].clone()


def _times(batch: Tensor, amount: int) -> Tensor:
    return batch.repeat(amount, *[1] * (batch.ndim - 1))


def _repeated_places(places: list[int], amount: int) -> list[int]:
    """`places` again and again, each time beyond the highest place used so far."""
    span = max(places) - min(places) + 1
    return [place + span * turn for turn in range(amount) for place in places]


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "LatentFromBatch": LatentFromBatch,
    "RepeatLatentBatch": RepeatLatentBatch,
    "LatentBatch": LatentBatch,
    "LatentBatchSeedBehavior": LatentBatchSeedBehavior,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "LatentFromBatch": "Latent From Batch",
    "RepeatLatentBatch": "Repeat Latent Batch",
}
