"""Gradient estimation: Euler's method with the slope drawn past this step's, away from the last one's.

Permenter and Yuan 2023, arXiv:2306.04848, algorithm 2, with its gamma of 2.
"""

from __future__ import annotations

from torch import Tensor

from runtime.diffusion.samplers.walk import Walk, slope

_GAMMA = 2.0


def gradient_estimation(walk: Walk, x: Tensor) -> Tensor:
    """The last step, to 0, takes the denoised latent as it is."""
    before: Tensor | None = None
    for step in walk:
        denoised = walk.predict(x, step)
        if step.sigma_next == 0:
            return denoised
        here = slope(x, step.sigma, denoised)
        dt = step.sigma_next - step.sigma
        x = x + here * dt
        if before is not None:
            x = x + (here - before) * ((_GAMMA - 1) * dt)
        before = here
    return x


def gradient_estimation_cfg_pp(walk: Walk, x: Tensor) -> Tensor:
    """Guided as CFG++ does: the slope is the negative prompt's (Chung et al. 2024, arXiv:2406.08070)."""
    before: Tensor | None = None
    for step in walk:
        denoised, negative = walk.predict_with_negative(x, step)
        if step.sigma_next == 0:
            return denoised
        here = slope(x, step.sigma, negative)
        x = denoised + here * step.sigma_next
        if before is not None:
            x = x + (here - before) * ((_GAMMA - 1) * (step.sigma_next - step.sigma))
        before = here
    return x
