"""Samplers that predict the clean latent and put fresh noise on it: DDPM's own chain and consistency models'."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from runtime.diffusion.samplers.walk import Walk, slope


def ddpm(walk: Walk, x: Tensor) -> Tensor:
    """The posterior q(x_s | x_t, x_0) between any two levels (Ho et al. 2020, arXiv:2006.11239, equation 6)."""
    noise = walk.step_noise(x)
    for step in walk:
        eps = slope(x, step.sigma, walk.predict(x, step))
        alpha_bar, alpha_bar_next = 1 / (step.sigma**2 + 1), 1 / (step.sigma_next**2 + 1)
        alpha = alpha_bar / alpha_bar_next
        mean = (x * alpha_bar.sqrt() - eps * ((1 - alpha) / (1 - alpha_bar).sqrt())) / alpha.sqrt()
        if step.sigma_next == 0:
            return mean
        spread = ((1 - alpha) * (1 - alpha_bar_next) / (1 - alpha_bar)).sqrt()
        x = (mean + noise(step.sigma, step.sigma_next) * spread) / alpha_bar_next.sqrt()
    return x


def lcm(walk: Walk, x: Tensor) -> Tensor:
    """Multistep consistency sampling: denoise, then noise to the next level (Luo et al. 2023, arXiv:2310.04378)."""
    noise = walk.step_noise(x)
    for step in walk:
        x = walk.predict(x, step)
        if step.sigma_next > 0:
            x = walk.prediction.noise_scaling(step.sigma_next, noise(step.sigma, step.sigma_next), x)
    return x


def lcm_upscale(
    walk: Walk,
    x: Tensor,
    *,
    ratio: float,
    enlarging_steps: int | None,
    enlarge: Callable[[Tensor, int, int], Tensor],
) -> Tensor:
    """The same with the denoised latent made larger in each of the first steps, evenly up to `ratio` times its sides.

    `enlarge(latent, width, height)`; `enlarging_steps` None is the first half of the walk. The noise is what follows
    the run's first noise in the same generator.
    """
    levels = len(walk.sigmas)
    count = max(levels // 2, 1) if enlarging_steps is None else min(enlarging_steps, levels)
    ratios = torch.linspace(1.0, ratio, count + 1, dtype=torch.float64)[1:].tolist()
    height, width = x.shape[-2:]
    noise = walk.following_noise(x)
    for step in walk:
        x = walk.predict(x, step)
        if step.index < count:
            x = enlarge(x, round(width * ratios[step.index]), round(height * ratios[step.index]))
        if step.sigma_next > 0:
            x = x + noise(x) * step.sigma_next
    return x
