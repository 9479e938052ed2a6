"""DPM-Solver++ of second order: single-step with ancestral noise, and multistep; each also guided as CFG++ does.

Lu et al. 2022, arXiv:2211.01095, in data prediction. Time here is t = -log sigma.
"""

from __future__ import annotations

import torch
from torch import Tensor

from runtime.diffusion.samplers.walk import Walk, ancestral_split


def dpmpp_2s_ancestral(walk: Walk, x: Tensor, *, eta: float = 1.0, s_noise: float = 1.0) -> Tensor:
    """The paper's algorithm 1 to below the next level, then noise back up to it."""
    noise = walk.step_noise(x)
    for step in walk:
        denoised = walk.predict(x, step)
        down, up = ancestral_split(step.sigma, step.sigma_next, eta)
        if down == 0:
            x = denoised
        else:
            middle = _halfway(step.sigma, down)
            inner = _toward(x, denoised, step.sigma, middle)
            x = _toward(x, walk.denoise(inner, middle), step.sigma, down)
        if step.sigma_next > 0:
            x = x + noise(step.sigma, step.sigma_next) * (s_noise * up)
    return x


def dpmpp_2s_ancestral_cfg_pp(walk: Walk, x: Tensor) -> Tensor:
    """The same with x moved by what guidance adds, first as seen at the start and then at the middle of the step."""
    noise = walk.step_noise(x)
    for step in walk:
        denoised, negative = walk.predict_with_negative(x, step)
        down, up = ancestral_split(step.sigma, step.sigma_next, 1.0)
        if down == 0:
            x = denoised
        else:
            middle = _halfway(step.sigma, down)
            inner = _toward(x + (denoised - negative), denoised, step.sigma, middle)
            at_middle, negative = walk.denoise.with_negative(inner, middle)
            x = _toward(x + (denoised - negative), at_middle, step.sigma, down)
        if step.sigma_next > 0:
            x = x + noise(step.sigma, step.sigma_next) * up
    return x


def dpmpp_2m(walk: Walk, x: Tensor) -> Tensor:
    """The paper's algorithm 2: the denoised latent is extrapolated from this step and the one before."""
    before: Tensor | None = None
    for step in walk:
        denoised = walk.predict(x, step)
        h = _time(step.sigma_next) - _time(step.sigma)
        ahead = denoised
        if before is not None and step.sigma_next > 0:
            ratio = (_time(step.sigma) - _time(walk.sigmas[step.index - 1])) / h
            ahead = denoised + (denoised - before) / (2 * ratio)
        x = x * (step.sigma_next / step.sigma) - ahead * (-h).expm1()
        before = denoised
    return x


def dpmpp_2m_cfg_pp(walk: Walk, x: Tensor) -> Tensor:
    """The same with the noise taken from the negative prompt (Chung et al. 2024, arXiv:2406.08070)."""
    before: Tensor | None = None
    for step in walk:
        denoised, negative = walk.predict_with_negative(x, step)
        h = _time(step.sigma_next) - _time(step.sigma)
        shrink = torch.exp(-h)
        ahead = denoised
        if before is not None and step.sigma_next > 0:
            ratio = (_time(step.sigma) - _time(walk.sigmas[step.index - 1])) / h
            ahead = denoised - (denoised - before) * (torch.expm1(-h) / (2 * ratio))
        x = ahead + (x - negative) * shrink
        before = negative
    return x


def _toward(x: Tensor, denoised: Tensor, sigma: Tensor, target: Tensor) -> Tensor:
    """Move x from noise level `sigma` to `target` along the line to `denoised`, exactly if that stays as it is."""
    h = _time(target) - _time(sigma)
    return x * (target / sigma) - denoised * (-h).expm1()


def _halfway(sigma: Tensor, target: Tensor) -> Tensor:
    """The noise level halfway in time."""
    start = _time(sigma)
    return (start + (_time(target) - start) / 2).neg().exp()


def _time(sigma: Tensor) -> Tensor:
    return sigma.log().neg()
