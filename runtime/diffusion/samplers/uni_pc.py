"""UniPC: a multistep predictor whose next evaluation also corrects it (Zhao et al. 2023, arXiv:2302.04867).

In data prediction and in the paper's variance-preserving coordinates: x there is ours times
alpha = 1 / sqrt(sigma^2 + 1), std = sqrt(1 - alpha^2) and lambda = log(alpha / std).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from runtime.diffusion.samplers.walk import Walk

# What a walk to 0 ends at instead, where lambda is still finite.
_LAST_SIGMA = 0.001
_MAX_ORDER = 3

Variant = Literal["bh1", "bh2"]


def uni_pc(walk: Walk, x: Tensor, *, variant: Variant = "bh1") -> Tensor:
    """UniPC of third order with the paper's B_1(h) or B_2(h) (algorithm 2); a walk of one step only evaluates."""
    levels = [_Level.at(sigma if sigma > 0 else torch.full_like(sigma, _LAST_SIGMA)) for sigma in walk.sigmas]
    order = min(_MAX_ORDER, walk.steps - 1)
    history: list[_Seen] = []
    x = x / torch.sqrt(1.0 + levels[0].sigma ** 2)
    for step in walk:
        level = levels[step.index]
        if not history:
            denoised = walk.denoise(x / level.alpha, level.sigma)
        else:
            known = min(step.index, order, walk.steps + 1 - step.index)
            update = _Update(history[-known:], level, variant)
            denoised = walk.denoise(update.predict(x) / level.alpha, level.sigma)
            x = update.correct(x, denoised)
        history = [*history, _Seen(level, denoised)][-_MAX_ORDER:]
        if step.index == walk.steps - 1 and order > 0:
            x = _Update(history[-1:], levels[-1], variant).predict(x)
        walk.on_step(step.index, denoised)
    return x / levels[-1].alpha


def uni_pc_bh2(walk: Walk, x: Tensor) -> Tensor:
    """With the paper's B_2(h)."""
    return uni_pc(walk, x, variant="bh2")


class _Level(NamedTuple):
    """A noise level in variance-preserving terms, each one float32 on the CPU."""

    sigma: Tensor
    alpha: Tensor
    std: Tensor
    time: Tensor  # the paper's lambda

    @classmethod
    def at(cls, sigma: Tensor) -> _Level:
        log_alpha = 0.5 * torch.log(1 / (sigma * sigma + 1))
        variance = 1.0 - torch.exp(2.0 * log_alpha)
        return cls(sigma, torch.exp(log_alpha), variance.sqrt(), log_alpha - 0.5 * torch.log(variance))


class _Seen(NamedTuple):
    level: _Level
    denoised: Tensor  # (B, C, h, w)


class _Update:
    """From the last level of `history` to `level`, with the order that the history's length gives."""

    def __init__(self, history: Sequence[_Seen], level: _Level, variant: Variant) -> None:
        *older, self._last = history
        self._order, self._level = len(history), level
        h = level.time - self._last.level.time
        reaches = [(seen.level.time - self._last.level.time) / h for seen in reversed(older)]
        self._changes = [
            (seen.denoised - self._last.denoised) / reach for seen, reach in zip(reversed(older), reaches, strict=True)
        ]
        self._growth = torch.expm1(-h)
        self._scale = level.alpha * (-h if variant == "bh1" else self._growth)
        self._powers, self._targets = _order_conditions(reaches, -h, self._scale / level.alpha)

    def predict(self, x: Tensor) -> Tensor:
        """Where x is at `level` from the history alone."""
        if self._order == 1:
            return self._drift(x)
        weights = torch.tensor([0.5])
        if self._order > 2:
            weights = torch.linalg.solve(self._powers[:-1, :-1], self._targets[:-1])
        return self._drift(x) - _weighted(self._changes, weights) * self._scale

    def correct(self, x: Tensor, denoised: Tensor) -> Tensor:
        """Where x is at `level` from the history and from what was seen there."""
        weights = torch.tensor([0.5])
        if self._order > 1:
            weights = torch.linalg.solve(self._powers, self._targets)
        changes = [*self._changes, denoised - self._last.denoised]
        return self._drift(x) - _weighted(changes, weights) * self._scale

    def _drift(self, x: Tensor) -> Tensor:
        """The first-order step: exact where the denoised latent does not change."""
        last = self._last
        return x * (self._level.std / last.level.std) - last.denoised * (self._level.alpha * self._growth)


def _order_conditions(reaches: Sequence[Tensor], z: Tensor, scale: Tensor) -> tuple[Tensor, Tensor]:
    """The paper's R_p (K, K) and b_p (K,) (theorem 3.1): their solution weighs the changes so that order K holds."""
    nodes = torch.stack([*reaches, torch.ones_like(z)])
    phi, factorial, targets = torch.expm1(z) / z - 1, 1, []
    for k in range(1, len(nodes) + 1):
        targets.append(phi * factorial / scale)
        factorial *= k + 1
        phi = phi / z - 1 / factorial
    return torch.stack([nodes**k for k in range(len(nodes))]), torch.stack(targets)


def _weighted(changes: Sequence[Tensor], weights: Tensor) -> Tensor:
    total = changes[0] * weights[0]
    for change, weight in zip(changes[1:], weights[1:], strict=True):
        total = total + change * weight
    return total
