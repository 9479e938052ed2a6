"""ER-SDE: the extended reverse-time SDE's solver of up to third order (Cui et al. 2023, arXiv:2309.06169).

In its variance-exploding form: lambda there is sigma here.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from runtime.diffusion.samplers.walk import Walk

NoiseScaler = Callable[[Tensor], Tensor]

_POINTS = 200


def er_sde_noise(sigma: Tensor) -> Tensor:
    """The paper's choice of how noise shrinks with sigma (equation 14)."""
    return sigma * ((sigma**0.3).exp() + 10.0)


def reverse_time_noise(eta: float) -> NoiseScaler:
    """The plain reverse-time SDE's, whose noise `eta` scales; at 0 the probability flow ODE's."""
    return lambda sigma: sigma ** (eta + 1)


def er_sde(
    walk: Walk, x: Tensor, *, s_noise: float = 1.0, max_stage: int = 3, noise_scaler: NoiseScaler = er_sde_noise
) -> Tensor:
    """The paper's VE ER-SDE-Solver of order `max_stage`, 1 to 3 (algorithms 1 to 3)."""
    noise = walk.step_noise(x)
    values: list[Tensor] = []  # the denoised latent and its derivatives by sigma at the step before
    for step in walk:
        denoised = walk.predict(x, step)
        if step.sigma_next == 0:
            return denoised
        values = _derivatives(walk, step.index, denoised, values)[:max_stage]
        ratio = noise_scaler(step.sigma_next) / noise_scaler(step.sigma)
        x = x * ratio + denoised * (1 - ratio)
        for weight, derivative in zip(_weights(step.sigma, step.sigma_next, noise_scaler), values[1:], strict=False):
            x = x + derivative * weight
        if s_noise > 0:
            variance = step.sigma_next**2 - step.sigma**2 * ratio**2
            x = x + noise(step.sigma, step.sigma_next) * (variance.sqrt().nan_to_num(nan=0.0) * s_noise)
    return x


def _derivatives(walk: Walk, index: int, denoised: Tensor, before: list[Tensor]) -> list[Tensor]:
    """The denoised latent, and its first and second derivative by sigma from those one step `before`."""
    values = [denoised]
    for order, older in enumerate(before[:2], start=1):
        spread = (walk.sigmas[index] - walk.sigmas[index - order]) / order
        values.append((values[-1] - older) / spread)
    return values


def _weights(sigma: Tensor, sigma_next: Tensor, noise_scaler: NoiseScaler) -> tuple[Tensor, Tensor]:
    """What the first and the second derivative add to a step, their integrals by 200 points."""
    dt = sigma_next - sigma
    width = -dt / _POINTS
    points = sigma_next + torch.arange(_POINTS, dtype=torch.float32) * width
    scaled, at_end = noise_scaler(points), noise_scaler(sigma_next)
    first = dt + torch.sum(1 / scaled) * width * at_end
    second = dt**2 / 2 + torch.sum((points - sigma) / scaled) * width * at_end
    return first, second
