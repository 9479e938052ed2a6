"""SEEDS: stochastic exponential solvers of two and three evaluations a step (Gonzalez et al. 2023, arXiv:2305.14267).

In data prediction, for the SDE with the full amount of noise. Time here is t = -log sigma.
"""

from __future__ import annotations

import torch
from torch import Tensor

from runtime.diffusion.samplers.walk import NoiseSource, Step, Walk


def seeds_2(walk: Walk, x: Tensor) -> Tensor:
    """The denoised latent of half the step stands for all of it."""
    source = walk.step_noise(x)
    for step in walk:
        denoised = walk.predict(x, step)
        if step.sigma_next == 0:
            return denoised
        h, noise = _length(step), _PathNoise(source, step)
        middle = _within(step, 0.5)
        inner = _decay(x, step, middle, 0.5) - denoised * (-h).expm1() + noise.at(0.5, middle)
        at_middle = walk.denoise(inner, middle)
        x = _decay(x, step, step.sigma_next, 1.0) - at_middle * (-2 * h).expm1() + noise.at(1.0, step.sigma_next)
    return x


def seeds_3(walk: Walk, x: Tensor) -> Tensor:
    """The denoised latent changes along the line through the step's beginning and its second third."""
    source = walk.step_noise(x)
    for step in walk:
        denoised = walk.predict(x, step)
        if step.sigma_next == 0:
            return denoised
        h, noise = _length(step), _PathNoise(source, step)
        third, two_thirds = _within(step, 1 / 3), _within(step, 2 / 3)
        inner = _decay(x, step, third, 1 / 3) - denoised * (-2 / 3 * h).expm1() + noise.at(1 / 3, third)
        change = 2 * (walk.denoise(inner, third) - denoised)
        inner = _decay(x, step, two_thirds, 2 / 3) - _exponential(denoised, change, -4 / 3 * h)
        inner = inner + noise.at(2 / 3, two_thirds)
        change = 3 / 2 * (walk.denoise(inner, two_thirds) - denoised)
        x = _decay(x, step, step.sigma_next, 1.0) - _exponential(denoised, change, -2 * h)
        x = x + noise.at(1.0, step.sigma_next)
    return x


class _PathNoise:
    """The noise gathered since a step's beginning, at any later share of it."""

    def __init__(self, source: NoiseSource, step: Step) -> None:
        self._source, self._h = source, _length(step)
        self._share, self._sigma = 0.0, step.sigma
        self._gathered: Tensor | None = None

    def at(self, share: float, sigma: Tensor) -> Tensor:
        """The noise at `share` of the step, where the level is `sigma`; shares are asked for in rising order."""
        passed = (self._share - share) * self._h
        fresh = self._source(self._sigma, sigma) * (-(2 * passed).expm1()).sqrt()
        self._gathered = fresh if self._gathered is None else self._gathered * passed.exp() + fresh
        self._share, self._sigma = share, sigma
        return self._gathered * sigma


def _decay(x: Tensor, step: Step, sigma: Tensor, share: float) -> Tensor:
    """What is left of x at `share` of the step, where the level is `sigma`."""
    return x * (sigma / step.sigma * (-share * _length(step)).exp())


def _exponential(denoised: Tensor, change: Tensor, z: Tensor) -> Tensor:
    """The exponential integral over -z of a denoised latent that changes by `change` along the way."""
    return denoised * z.expm1() + change * ((z.expm1() - z) / z)


def _length(step: Step) -> Tensor:
    return _time(step.sigma_next) - _time(step.sigma)


def _within(step: Step, share: float) -> Tensor:
    """The noise level at `share` of the step in time."""
    return torch.lerp(_time(step.sigma), _time(step.sigma_next), share).neg().exp()


def _time(sigma: Tensor) -> Tensor:
    return sigma.log().neg()
