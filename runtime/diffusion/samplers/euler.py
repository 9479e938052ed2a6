"""Euler's method, plain and with ancestral noise, each also guided as CFG++ does."""

from __future__ import annotations

from torch import Tensor

from runtime.diffusion.samplers.walk import Walk, ancestral_split, slope


def euler(walk: Walk, x: Tensor) -> Tensor:
    """Algorithm 2 of Karras et al. 2022 (arXiv:2206.00364) without its second order; DDIM in these coordinates."""
    for step in walk:
        denoised = walk.predict(x, step)
        x = x + slope(x, step.sigma, denoised) * (step.sigma_next - step.sigma)
    return x


def euler_ancestral(walk: Walk, x: Tensor, *, eta: float = 1.0, s_noise: float = 1.0) -> Tensor:
    """An Euler step below the next level, then noise back up to it (Song et al. 2020, arXiv:2010.02502, eq. 12)."""
    noise = walk.step_noise(x)
    for step in walk:
        denoised = walk.predict(x, step)
        down, up = ancestral_split(step.sigma, step.sigma_next, eta)
        if down == 0:
            x = denoised
            continue
        x = x + slope(x, step.sigma, denoised) * (down - step.sigma)
        x = x + noise(step.sigma, step.sigma_next) * (s_noise * up)
    return x


def euler_ancestral_cfg_pp(walk: Walk, x: Tensor, *, eta: float = 1.0, s_noise: float = 1.0) -> Tensor:
    """CFG++: noise is taken off along the negative prompt's direction (Chung et al. 2024, arXiv:2406.08070)."""
    noise = walk.step_noise(x)
    for step in walk:
        denoised, negative = walk.predict_with_negative(x, step)
        if step.sigma_next == 0:
            x = denoised
            continue
        down, up = ancestral_split(step.sigma, step.sigma_next, eta)
        x = denoised + slope(x, step.sigma, negative) * down
        if eta > 0 and s_noise > 0:
            x = x + noise(step.sigma, step.sigma_next) * (s_noise * up)
    return x


def euler_cfg_pp(walk: Walk, x: Tensor) -> Tensor:
    """CFG++ without noise between the steps (Chung et al. 2024, arXiv:2406.08070, algorithm 2)."""
    return euler_ancestral_cfg_pp(walk, x, eta=0.0, s_noise=0.0)


def euler_pp(walk: Walk, x: Tensor) -> Tensor:
    """Euler's method with the negative prompt's x0 added to x and the guided one taken off, as in ComfyUI's node."""
    for step in walk:
        denoised, negative = walk.predict_with_negative(x, step)
        direction = slope(x - denoised + negative, step.sigma, denoised)
        x = x + direction * (step.sigma_next - step.sigma)
    return x
