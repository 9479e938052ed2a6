"""Second order by a midpoint: one evaluation halfway in log sigma, plain and with ancestral noise."""

from __future__ import annotations

from torch import Tensor

from runtime.diffusion.samplers.walk import Step, Walk, ancestral_split, slope


def dpm_2(walk: Walk, x: Tensor) -> Tensor:
    """DPM-Solver-2's midpoint (Lu et al. 2022, arXiv:2206.00927) in the coordinates of Karras et al. 2022."""
    for step in walk:
        x = _to_level(walk, x, step, step.sigma_next)
    return x


def dpm_2_ancestral(walk: Walk, x: Tensor, *, eta: float = 1.0, s_noise: float = 1.0) -> Tensor:
    """A midpoint step below the next level, then noise back up to it."""
    noise = walk.step_noise(x)
    for step in walk:
        down, up = ancestral_split(step.sigma, step.sigma_next, eta)
        x = _to_level(walk, x, step, down)
        if down > 0:
            x = x + noise(step.sigma, step.sigma_next) * (s_noise * up)
    return x


def _to_level(walk: Walk, x: Tensor, step: Step, target: Tensor) -> Tensor:
    """From the beginning of `step` to the level `target`; to 0 by Euler's method."""
    start = slope(x, step.sigma, walk.predict(x, step))
    if target == 0:
        return x + start * (target - step.sigma)
    middle = step.sigma.log().lerp(target.log(), 0.5).exp()
    halfway = x + start * (middle - step.sigma)
    return x + slope(halfway, middle, walk.denoise(halfway, middle)) * (target - step.sigma)
