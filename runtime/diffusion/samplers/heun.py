"""Heun's method and Heun++: Euler steps corrected by the slope at where they lead."""

from __future__ import annotations

from torch import Tensor

from runtime.diffusion.samplers.walk import Walk, slope


def heun(walk: Walk, x: Tensor) -> Tensor:
    """Algorithm 2 of Karras et al. 2022 (arXiv:2206.00364), without churn: two evaluations a step but the last."""
    for step in walk:
        first = slope(x, step.sigma, walk.predict(x, step))
        dt = step.sigma_next - step.sigma
        if step.sigma_next == 0:
            x = x + first * dt
            continue
        ahead = x + first * dt
        second = slope(ahead, step.sigma_next, walk.denoise(ahead, step.sigma_next))
        x = x + (first + second) / 2 * dt
    return x


def heunpp2(walk: Walk, x: Tensor) -> Tensor:
    """Heun with up to three slopes a step, the later ones weighted by their noise level.

    Source: github.com/Carzit/sd-webui-samplers-scheduler, heunpp2 (MIT).
    """
    top = walk.sigmas[0]
    for step in walk:
        slopes = _slopes_ahead(walk, x, slope(x, step.sigma, walk.predict(x, step)), step.index)
        shares = [walk.sigmas[step.index + k] / (len(slopes) * top) for k in range(1, len(slopes))]
        mixed = slopes[0] * (1 - sum(shares))
        for share, later in zip(shares, slopes[1:], strict=True):
            mixed = mixed + later * share
        x = x + mixed * (step.sigma_next - step.sigma)
    return x


def _slopes_ahead(walk: Walk, x: Tensor, first: Tensor, index: int) -> list[Tensor]:
    """The slope at this level and at up to two next ones, each reached by Euler; none at the last level of the walk."""
    slopes, end = [first], walk.sigmas[-1]
    for level in (index + 1, index + 2):
        if level > walk.steps or walk.sigmas[level] == end:
            break
        x = x + slopes[-1] * (walk.sigmas[level] - walk.sigmas[level - 1])
        slopes.append(slope(x, walk.sigmas[level], walk.denoise(x, walk.sigmas[level])))
    return slopes
