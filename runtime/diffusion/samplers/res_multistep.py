"""RES: the refined exponential solver's multistep of second order (Zhang et al. 2023, arXiv:2308.02157).

Time here is t = -log sigma.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from runtime.diffusion.samplers.walk import Walk, ancestral_split, slope


def res_multistep(walk: Walk, x: Tensor) -> Tensor:
    """Without noise between the steps."""
    return res_multistep_ancestral(walk, x, eta=0.0)


def res_multistep_ancestral(walk: Walk, x: Tensor, *, eta: float = 1.0) -> Tensor:
    """Each step goes below the next level, and noise back up to it."""
    before: _Before | None = None
    noise = walk.step_noise(x)
    for step in walk:
        denoised = walk.predict(x, step)
        down, up = ancestral_split(step.sigma, step.sigma_next, eta)
        if down == 0 or before is None:
            x = x + slope(x, step.sigma, denoised) * (down - step.sigma)
        else:
            x = before.onward(x, denoised, step.sigma, down)
        if step.sigma_next > 0 and eta > 0:
            x = x + noise(step.sigma, step.sigma_next) * up
        before = _Before(denoised, step.sigma, down)
    return x


def res_multistep_cfg_pp(walk: Walk, x: Tensor) -> Tensor:
    """Guided as CFG++ does (Chung et al. 2024, arXiv:2406.08070), without noise between the steps."""
    return res_multistep_ancestral_cfg_pp(walk, x, eta=0.0)


def res_multistep_ancestral_cfg_pp(walk: Walk, x: Tensor, *, eta: float = 1.0) -> Tensor:
    """Guided as CFG++ does: x moves by what guidance adds, and its noise is the negative prompt's."""
    before: _Before | None = None
    noise = walk.step_noise(x)
    for step in walk:
        denoised, negative = walk.predict_with_negative(x, step)
        down, up = ancestral_split(step.sigma, step.sigma_next, eta)
        if down == 0 or before is None:
            x = denoised + slope(x, step.sigma, negative) * down
        else:
            x = before.onward(x + (denoised - negative), negative, step.sigma, down)
        if step.sigma_next > 0 and eta > 0:
            x = x + noise(step.sigma, step.sigma_next) * up
        before = _Before(negative, step.sigma, down)
    return x


@dataclass(frozen=True)
class _Before:
    """The step before: what it saw, where it began and where it led before noise was added."""

    denoised: Tensor
    sigma: Tensor
    down: Tensor

    def onward(self, x: Tensor, denoised: Tensor, sigma: Tensor, target: Tensor) -> Tensor:
        """From `sigma` to `target` with the denoised latent on the line through this step's and the last one's."""
        h = sigma.log() - target.log()
        c_2 = (self.down.log() - self.sigma.log()) / h
        phi_1 = torch.expm1(-h) / -h
        phi_2 = (phi_1 - 1.0) / -h
        b_1 = torch.nan_to_num(phi_1 - phi_2 / c_2, nan=0.0)
        b_2 = torch.nan_to_num(phi_2 / c_2, nan=0.0)
        return x * h.neg().exp() + denoised * (h * b_1) + self.denoised * (h * b_2)
