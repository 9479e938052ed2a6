"""Noise from a seed, drawn as ComfyUI draws it and without touching the process's own random state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

_SEEDS = 2**64


@dataclass(frozen=True, kw_only=True)
class RandomNoise:
    """Gaussian noise that a seed in 0..2^64 - 1 fixes, whatever device samples later."""

    seed: int

    def generate_noise(self, latent: Mapping[str, Any]) -> Tensor:
        """Noise for a LATENT's samples, of their shape, on the CPU."""
        return seeded_noise(latent["samples"], self.seed, latent.get("batch_index"))


@dataclass(frozen=True, kw_only=True)
class EmptyNoise:
    """No noise: the latent is sampled as it stands. The seed is for samplers that draw noise between steps."""

    seed: int = 0

    def generate_noise(self, latent: Mapping[str, Any]) -> Tensor:
        """Zeros for a LATENT's samples, of their shape, on the CPU."""
        return torch.zeros_like(latent["samples"], device="cpu")


Noise = RandomNoise | EmptyNoise


def seeded_noise(latent: Tensor, seed: int, batch_index: Sequence[int] | None = None) -> Tensor:
    """Standard normal noise of the shape and dtype of `latent` (B, C, h, w), from the CPU's generator.

    With `batch_index` (B,), row i is what the draw number `batch_index[i]` of a long batch would have been, so that
    an item taken out of a batch keeps its noise. Indices may repeat.
    """
    generator = seeded_generator(seed, torch.device("cpu"))
    if batch_index is None:
        return torch.randn(latent.shape, dtype=latent.dtype, generator=generator)
    wanted = set(batch_index)
    drawn = {}
    for index in range(max(wanted) + 1):
        row = torch.randn((1, *latent.shape[1:]), dtype=latent.dtype, generator=generator)
        if index in wanted:
            drawn[index] = row
    return torch.cat([drawn[index] for index in batch_index])


class StepNoise:
    """Fresh noise for every call, as ancestral samplers add it, drawn on the latent's own device as ComfyUI does."""

    def __init__(self, like: Tensor, seed: int) -> None:
        self._like = like
        self._generator = seeded_generator(seed, like.device)

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        """Standard normal noise of the latent's shape; independent of the sigmas."""
        like = self._like
        return torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=self._generator)


def seeded_generator(seed: int, device: torch.device) -> torch.Generator:
    """A generator of its own on `device`; seeds count modulo 2^64."""
    return torch.Generator(device=device).manual_seed(seed % _SEEDS)


def following_generator(latent: Tensor, seed: int, device: torch.device | None = None) -> torch.Generator:
    """The generator of ComfyUI's process on `device` (the latent's) once the noise of a run over `latent` is drawn.

    That is drawn on the CPU: a GPU's generator is then only seeded.
    """
    generator = seeded_generator(seed, device or latent.device)
    if generator.device.type == "cpu":
        torch.randn(latent.shape, generator=generator)
    return generator
