"""Adams-Bashforth methods: a polynomial through the slopes of earlier steps is integrated over the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor

from runtime.diffusion.samplers.lagrange import lagrange_integrals
from runtime.diffusion.samplers.walk import Walk, slope

Weights = Callable[[int, int], Sequence[float]]

# Adams-Bashforth on even steps (Hairer, Norsett and Wanner, Solving Ordinary Differential Equations I, III.1).
_EVEN_STEP_WEIGHTS = (
    (1.0,),
    (3 / 2, -1 / 2),
    (23 / 12, -16 / 12, 5 / 12),
    (55 / 24, -59 / 24, 37 / 24, -9 / 24),
)


def lms(walk: Walk, x: Tensor, *, order: int = 4) -> Tensor:
    """Linear multistep in sigma, its weights integrated exactly (Karras et al. 2022 coordinates, after PLMS)."""
    levels: list[float] = walk.sigmas.double().tolist()

    def weights(index: int, known: int) -> list[float]:
        return lagrange_integrals(levels[index::-1][:known], levels[index], levels[index + 1])

    return multistep(walk, x, order=order, weights=weights, to_zero_by_denoising=True)


def ipndm(walk: Walk, x: Tensor, *, max_order: int = 4) -> Tensor:
    """PNDM improved: the weights of even steps, whatever the steps are (Zhang and Chen 2022, arXiv:2204.13902)."""

    def weights(index: int, known: int) -> list[float]:
        dt = float(walk.sigmas[index + 1] - walk.sigmas[index])
        return [weight * dt for weight in _EVEN_STEP_WEIGHTS[known - 1]]

    return multistep(walk, x, order=max_order, weights=weights, to_zero_by_denoising=True)


def ipndm_v(walk: Walk, x: Tensor, *, max_order: int = 4) -> Tensor:
    """The same with weights for uneven steps. Source: github.com/zju-pi/diff-sampler, solvers.py, ipndm_v_sampler."""
    levels: list[float] = walk.sigmas.double().tolist()

    def weights(index: int, known: int) -> list[float]:
        return uneven_step_weights([levels[k + 1] - levels[k] for k in range(index, index - known, -1)])

    return multistep(walk, x, order=max_order, weights=weights, to_zero_by_denoising=True)


def multistep(walk: Walk, x: Tensor, *, order: int, weights: Weights, to_zero_by_denoising: bool) -> Tensor:
    """Add to x the weighted slopes of this step and of up to `order` - 1 before it.

    `weights(index, known)` gives at most `known` weights for the step `index`, the newest slope's first.
    """
    slopes: list[Tensor] = []
    for step in walk:
        denoised = walk.predict(x, step)
        slopes = [slope(x, step.sigma, denoised), *slopes][:order]
        if to_zero_by_denoising and step.sigma_next == 0:
            x = denoised
            continue
        for weight, known in zip(weights(step.index, len(slopes)), slopes, strict=False):
            x = x + known * weight
    return x


def uneven_step_weights(steps: Sequence[float]) -> list[float]:
    """iPNDM-v's weights from the step to take and those before it, newest first, as many as steps (1 to 4).

    With two steps these are Adams-Bashforth's. What a third and fourth step add differs from theirs in diff-sampler; it
    is kept as it is there, since every picture made with this sampler depends on it.
    """
    weights = [1.0, 0.0, 0.0, 0.0]
    h, *before = steps
    if len(steps) >= 2:
        _add(weights, h / before[0] / 2, (1, -1))
    if len(steps) >= 3:
        a, b = before[0], before[1]
        third = (1 - h / (3 * (h + a)) * (h * (h + a)) / (a * (a + b))) / 2
        _add(weights, third, (1, -(1 + a / b), a / b))
    if len(steps) >= 4:
        a, b, c = before
        reach = (1 - h / (3 * (h + a))) / 2 + (1 - h / (2 * (h + a))) * h / (6 * (h + a + b))
        fourth = reach * (h * (h + a) * (h + a + b)) / (a * (a + b) * (a + b + c))
        ratio = a * (a + b) / (b * (b + c))
        _add(weights, fourth, (1, -(1 + a / b + ratio), a / b + ratio * (1 + b / c), -ratio * a / b))
    return [weight * h for weight in weights[: len(steps)]]


def _add(weights: list[float], scale: float, differences: Sequence[float]) -> None:
    for k, difference in enumerate(differences):
        weights[k] += scale * difference
