"""DEIS: Adams-Bashforth in the time of a variance-preserving process (Zhang and Chen 2022, arXiv:2204.13902)."""

from __future__ import annotations

import torch
from torch import Tensor

from runtime.diffusion.samplers.adams import multistep
from runtime.diffusion.samplers.lagrange import lagrange
from runtime.diffusion.samplers.walk import Walk

# The variance-preserving process whose time DEIS integrates over: 80 at its end, 0.002 at 1e-3 of it (EDM's range).
_EPSILON, _LOW, _HIGH = 1e-3, 0.002, 80.0
_POINTS = 10000


def deis(walk: Walk, x: Tensor, *, max_order: int = 3) -> Tensor:
    """DEIS-tAB of up to third order (the paper's algorithm 1); the last step, to 0, is Euler's."""
    times = deis_times(walk.sigmas.double())

    def weights(index: int, known: int) -> list[float]:
        if known == 1 or walk.sigmas[index + 1] <= 0:
            return [float(walk.sigmas[index + 1] - walk.sigmas[index])]
        return deis_integrals(times[: index + 1].flip(0)[:known], times[index], times[index + 1])

    return multistep(walk, x, order=max_order, weights=weights, to_zero_by_denoising=False)


def _betas() -> tuple[float, float]:
    """The beta at time 0 and how much it grows to time 1, so that the process passes through the range's ends."""
    low, high = (torch.tensor([_LOW, _HIGH], dtype=torch.float64) ** 2 + 1).log().tolist()
    growth = 2 * (low / _EPSILON - high) / (_EPSILON - 1)
    return high - growth / 2, growth


def deis_times(sigmas: Tensor) -> Tensor:
    """The times at which the process has the noise levels `sigmas` (float64)."""
    start, growth = _betas()
    return ((start**2 + 2 * growth * (sigmas**2 + 1).log()).sqrt() - start) / growth


def deis_integrals(nodes: Tensor, start: Tensor, end: Tensor) -> list[float]:
    """The integral of dsigma/dt times each Lagrange polynomial over the times `nodes`, all float64.

    By the sum over 10,000 points, both ends among them, that diff-sampler takes: a finer rule would change the fourth
    digit and with it the picture. Source: github.com/zju-pi/diff-sampler, solver_utils.py, get_deis_coeff_list.
    """
    beta, growth = _betas()
    taus = torch.linspace(0, 1, _POINTS, dtype=torch.float64) * (end - start) + start
    alpha = torch.exp(-growth * taus**2 / 2 - beta * taus)
    rate = (growth * taus + beta) / 2 / torch.sqrt(alpha * (1 - alpha))
    dt = (end - start) / _POINTS
    return [float((rate * lagrange(nodes, j, taus)).sum() * dt) for j in range(len(nodes))]
