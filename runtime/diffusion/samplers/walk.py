"""What a sampler is given: the denoiser, the noise levels to walk through, the seed and whom to tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from runtime.diffusion.brownian import BrownianNoise
from runtime.diffusion.noise import StepNoise, following_generator
from runtime.diffusion.prediction import Prediction

NoiseSource = Callable[[Tensor, Tensor], Tensor]


class Denoiser(Protocol):
    """The guided model: the clean latent seen in a noisy one. `x` (B, C, h, w), `sigma` one float32 on the CPU."""

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The guided x0, (B, C, h, w)."""

    def with_negative(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """The guided x0, and the negative prompt's own, evaluated also where guidance alone would not need it."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """From one noise level to the next; both one float32 on the CPU, so that looking at them waits for no device."""

    index: int
    sigma: Tensor
    sigma_next: Tensor


@dataclass(frozen=True, kw_only=True)
class Walk:
    """One sampling run. `sigmas` (steps + 1,) float32 on the CPU, falling, mostly down to 0.

    Step sizes and weights are computed in float32 on the CPU from them: a model's timestep is the level nearest to a
    sigma, so that a sigma between two steps must come out as it does in ComfyUI to the last bit.
    `on_step(index, x0)` is called once a step and may raise to end the run.
    """

    denoise: Denoiser
    prediction: Prediction
    sigmas: Tensor
    seed: int
    on_step: Callable[[int, Tensor], None]

    @property
    def steps(self) -> int:
        return len(self.sigmas) - 1

    def __iter__(self) -> Iterator[Step]:
        for index in range(self.steps):
            yield Step(index=index, sigma=self.sigmas[index], sigma_next=self.sigmas[index + 1])

    def predict(self, x: Tensor, step: Step) -> Tensor:
        """The guided x0 at the beginning of `step`, reported."""
        denoised = self.denoise(x, step.sigma)
        self.on_step(step.index, denoised)
        return denoised

    def predict_with_negative(self, x: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """The guided x0 and the negative prompt's at the beginning of `step`; the guided one reported."""
        denoised, negative = self.denoise.with_negative(x, step.sigma)
        self.on_step(step.index, denoised)
        return denoised, negative

    def step_noise(self, x: Tensor) -> NoiseSource:
        """Noise of the latent's shape, independent from call to call."""
        return StepNoise(x, self.seed)

    def following_noise(self, x: Tensor) -> Callable[[Tensor], Tensor]:
        """Noise of the shape of what it is given, after that of the first latent `x` in the run's own generator."""
        generator = following_generator(x, self.seed)
        return lambda like: torch.randn(like.shape, dtype=like.dtype, device=like.device, generator=generator)

    def brownian_noise(self, x: Tensor, *, on_cpu: bool) -> NoiseSource:
        """Noise of the latent's shape, consistent between small and large steps."""
        return BrownianNoise(x, self.sigmas, self.seed, on_cpu=on_cpu)


def slope(x: Tensor, sigma: Tensor, denoised: Tensor) -> Tensor:
    """The derivative dx / dsigma of the probability flow ODE (Karras et al. 2022, arXiv:2206.00364, equation 4)."""
    return (x - denoised) / sigma


class AncestralSplit(NamedTuple):
    """A step as a deterministic one down to `down`, and noise of size `up` back to the next level."""

    down: Tensor
    up: Tensor


def ancestral_split(sigma: Tensor, sigma_next: Tensor, eta: float) -> AncestralSplit:
    """Split so that down^2 + up^2 = sigma_next^2: at eta 1 DDPM, at 0 DDIM (Song et al. 2020, arXiv:2010.02502)."""
    if eta == 0:
        return AncestralSplit(sigma_next, sigma_next.new_zeros(()))
    full = (sigma_next**2 * (sigma**2 - sigma_next**2) / sigma**2) ** 0.5
    up = torch.fmin(sigma_next, eta * full)
    return AncestralSplit((sigma_next**2 - up**2) ** 0.5, up)
