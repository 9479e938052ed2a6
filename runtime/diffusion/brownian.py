"""Noise whose sum over several small steps is the noise of one large step: increments of a Brownian path over sigma."""

from __future__ import annotations

import torch
from torch import Tensor

# The path is resolved to 1e-6 of sigma: its ends and all questions are rounded to as many digits.
_DIGITS = 6


class BrownianNoise:
    """Normalized increments of a Brownian path that a seed fixes, for the stochastic solvers of DPM-Solver++.

    The path is torchsde's Brownian tree (Li et al. 2020, arXiv:2001.01328), so that the noise between two sigmas does
    not depend on which others were asked for. `on_cpu` draws it on the CPU, where every machine draws the same.
    """

    def __init__(self, like: Tensor, sigmas: Tensor, seed: int, *, on_cpu: bool = True) -> None:
        """`sigmas` (steps + 1,), float32 on the CPU: the path runs from the lowest above 0 to the highest."""
        from torchsde import BrownianTree

        device = torch.device("cpu") if on_cpu else like.device
        self._device, self._dtype = like.device, like.dtype
        low, high = sigmas[sigmas > 0].min(), sigmas.max()
        self._ends = round(float(low), _DIGITS), round(float(high), _DIGITS)
        self._tree = BrownianTree(low, torch.zeros_like(like, device=device), high, entropy=seed, tol=10**-_DIGITS)

    def __call__(self, sigma: Tensor, sigma_next: Tensor) -> Tensor:
        """The path's increment from `sigma` to `sigma_next` over the square root of their distance; unit variance."""
        low, high = (sigma, sigma_next) if sigma < sigma_next else (sigma_next, sigma)
        direction = 1 if sigma < sigma_next else -1
        increment: Tensor = self._tree(self._within(low), self._within(high))
        return increment.to(device=self._device, dtype=self._dtype) * (direction / (high - low).sqrt())

    def _within(self, sigma: Tensor) -> float:
        start, end = self._ends
        return min(max(float(sigma), start), end)
