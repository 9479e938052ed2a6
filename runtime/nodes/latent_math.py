"""Nodes that add, scale and mix latents number by number."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from runtime.nodes.inputs import InputTypes, Latent, decimal
from runtime.nodes.latent_batch import fitted_to, repeated_to
from runtime.nodes.resize import resize

if TYPE_CHECKING:
    from torch import Tensor


class LatentAdd:
    """The sum of two latents, the second one resized and repeated to fit the first."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "add"
    CATEGORY = "latent/advanced"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"samples1": ("LATENT",), "samples2": ("LATENT",)}}

    def add(self, samples1: Latent, samples2: Latent) -> tuple[Latent]:
        return ({**samples1, "samples": samples1["samples"] + _second(samples1, samples2)},)


class LatentSubtract:
    """The first latent less the second one, which is resized and repeated to fit it."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "subtract"
    CATEGORY = "latent/advanced"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"samples1": ("LATENT",), "samples2": ("LATENT",)}}

    def subtract(self, samples1: Latent, samples2: Latent) -> tuple[Latent]:
        return ({**samples1, "samples": samples1["samples"] - _second(samples1, samples2)},)


class LatentMultiply:
    """A latent times a number."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "multiply"
    CATEGORY = "latent/advanced"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"samples": ("LATENT",), "multiplier": decimal(1.0, -10.0, 10.0, 0.01)}}

    def multiply(self, samples: Latent, multiplier: float) -> tuple[Latent]:
        return ({**samples, "samples": samples["samples"] * multiplier},)


class LatentInterpolate:
    """Between two latents: directions and lengths of their channel vectors are mixed apart from each other.

    `ratio` is the share of the first one.
    """

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "interpolate"
    CATEGORY = "latent/advanced"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "samples1": ("LATENT",),
                "samples2": ("LATENT",),
                "ratio": decimal(1.0, 0.0, 1.0, 0.01),
            }
        }

    def interpolate(self, samples1: Latent, samples2: Latent, ratio: float) -> tuple[Latent]:
        first, first_length = _direction(samples1["samples"])
        second, second_length = _direction(_second(samples1, samples2))
        towards, _ = _direction(first * ratio + second * (1.0 - ratio))
        length = first_length * ratio + second_length * (1.0 - ratio)
        return ({**samples1, "samples": towards * length},)


class LatentBlend:
    """`blend_factor` of the first latent and the rest of the second one."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "blend"
    CATEGORY = "_for_testing"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "samples1": ("LATENT",),
                "samples2": ("LATENT",),
                "blend_factor": decimal(0.5, 0, 1, 0.01),
            }
        }

    def blend(self, samples1: Latent, samples2: Latent, blend_factor: float) -> tuple[Latent]:
        first: Tensor = samples1["samples"]
        second: Tensor = samples2["samples"]
        if first.shape != second.shape:
            second = resize(second, first.shape[-1], first.shape[-2], "bicubic", "center")
        return ({**samples1, "samples": first * blend_factor + second * (1 - blend_factor)},)


def _second(samples1: Latent, samples2: Latent) -> Tensor:
    first: Tensor = samples1["samples"]
    return repeated_to(fitted_to(samples2["samples"], first), first.shape[0])


def _direction(latent: Tensor) -> tuple[Tensor, Tensor]:
    """Each channel vector of `latent` (B, C, h, w) at length 1, and the lengths (B, 1, h, w); of nought, nought."""
    length = torch.linalg.vector_norm(latent, dim=1, keepdim=True)
    return torch.nan_to_num(latent / length), length


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "LatentAdd": LatentAdd,
    "LatentSubtract": LatentSubtract,
    "LatentMultiply": LatentMultiply,
    "LatentInterpolate": LatentInterpolate,
    "LatentBlend": LatentBlend,
}
NODE_DISPLAY_NAME_MAPPINGS = {"LatentBlend": "Latent Blend"}
