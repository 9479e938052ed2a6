"""SA-Solver: stochastic Adams methods as predictor and corrector (Xue et al. 2023, arXiv:2309.05019).

In data prediction. lambda = -log sigma; tau says how much noise there is at a level, 0 none and 1 the SDE's own.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from runtime.diffusion.prediction import Prediction
from runtime.diffusion.samplers.lagrange import lagrange_integrals
from runtime.diffusion.samplers.walk import NoiseSource, Step, Walk


def sa_solver(
    walk: Walk,
    x: Tensor,
    *,
    eta: float = 1.0,
    sde_start_percent: float = 0.2,
    sde_end_percent: float = 0.8,
    s_noise: float = 1.0,
    predictor_order: int = 3,
    corrector_order: int = 4,
    use_pece: bool = False,
    simple_order_2: bool = False,
    percents_of: Prediction | None = None,
) -> Tensor:
    """The paper's algorithm 1: noise of `eta` between the two percents of a model's range, an ODE elsewhere.

    The model is that of the walk, unless `percents_of` is given.
    With `use_pece` the corrected state is evaluated again. Like ComfyUI's it hands out the corrected state, not the
    predicted one, where the walk does not end at 0.
    """
    if walk.steps < 1:
        return x
    prediction = percents_of or walk.prediction
    high, low = (prediction.percent_to_sigma(percent) for percent in (sde_start_percent, sde_end_percent))
    adams = _Adams(walk, x, tau=eta, between=(low, high), s_noise=s_noise, simple_order_2=simple_order_2)
    predicted = x
    for step in walk:
        denoised = walk.predict(predicted, step)
        adams.remember(denoised, keep=max(predictor_order, corrector_order))
        order = _corrector_order(walk, step, min(corrector_order, adams.known), use_pece)
        x = adams.correct(x, step.index, order) if order else predicted
        if use_pece and order:
            denoised = walk.denoise(x, step.sigma)
            adams.replace_last(denoised)
        if step.sigma_next == 0:
            return denoised
        predicted = adams.predict(x, step, _lower_to_end(walk, min(predictor_order, adams.known), step.index + 1))
    return x


def sa_solver_pece(walk: Walk, x: Tensor) -> Tensor:
    """Predict, evaluate, correct, evaluate."""
    return sa_solver(walk, x, use_pece=True)


def _corrector_order(walk: Walk, step: Step, order: int, use_pece: bool) -> int:
    if step.index == 0 or (step.sigma_next == 0 and not use_pece):
        return 0
    return _lower_to_end(walk, order, step.index)


def _lower_to_end(walk: Walk, order: int, index: int) -> int:
    """`order`, at most the steps left from `index` where the walk ends at 0: there the last steps are long."""
    return min(order, walk.steps - index) if walk.sigmas[-1] == 0 else order


class _Adams:
    """The denoised latents of the last steps, and the move from one level to the next that they give."""

    def __init__(
        self, walk: Walk, x: Tensor, *, tau: float, between: tuple[float, float], s_noise: float, simple_order_2: bool
    ) -> None:
        self._sigmas, self._lambdas = walk.sigmas, (-walk.sigmas.double().log()).tolist()
        self._source: NoiseSource = walk.step_noise(x)
        self._tau, self._between = tau, between
        self._s_noise, self._simple_order_2 = s_noise, simple_order_2
        self._seen: list[Tensor] = []
        self._last_tau = 0.0
        self._noise: Tensor | None = None

    @property
    def known(self) -> int:
        return len(self._seen)

    def remember(self, denoised: Tensor, *, keep: int) -> None:
        self._seen = [*self._seen, denoised][-keep:]

    def replace_last(self, denoised: Tensor) -> None:
        self._seen[-1] = denoised

    def predict(self, x: Tensor, step: Step, order: int) -> Tensor:
        """Where x is at the end of `step`, from the denoised latents up to its beginning."""
        low, high = self._between
        self._last_tau = self._tau if low <= float(step.sigma_next) <= high else 0.0
        self._noise = self._draw(step)
        return self._move(x, step.index, self._lambdas[step.index + 1 - order : step.index + 1])

    def correct(self, x: Tensor, index: int, order: int) -> Tensor:
        """Where x is at the level `index`, now from the denoised latents up to there and with the same noise."""
        return self._move(x, index - 1, self._lambdas[index + 1 - order : index + 1])

    def _move(self, x: Tensor, index: int, nodes: Sequence[float]) -> Tensor:
        """From the level `index` to the next, by the denoised latents last seen at `nodes`."""
        start, end = self._lambdas[index : index + 2]
        if self._simple_order_2 and len(nodes) == 2:
            weights = _simple_weights(nodes, start, end, self._last_tau)
        else:
            weights = _weights(nodes, start, end, self._last_tau)
        x = x * (self._sigmas[index + 1] / self._sigmas[index] * math.exp(-(self._last_tau**2) * (end - start)))
        for weight, denoised in zip(weights, self._seen[-len(nodes) :], strict=True):
            x = x + denoised * weight
        return x if self._noise is None else x + self._noise

    def _draw(self, step: Step) -> Tensor | None:
        if not (self._last_tau > 0 and self._s_noise > 0):
            return None
        h = self._lambdas[step.index + 1] - self._lambdas[step.index]
        spread = math.sqrt(-math.expm1(-2 * self._last_tau**2 * h))
        return self._source(step.sigma, step.sigma_next) * (step.sigma_next * (spread * self._s_noise))


def _weights(nodes: Sequence[float], start: float, end: float, tau: float) -> list[float]:
    """The paper's b_i (equations 15 and 18), oldest first: polynomials over `nodes` integrated under an exponential."""
    k = 1 + tau**2
    return lagrange_integrals(nodes, start, end, weight=lambda at: k * torch.exp(k * (at - end)))


def _simple_weights(nodes: Sequence[float], start: float, end: float, tau: float) -> list[float]:
    """The paper's cheaper b_i of second order (appendix D): a corrector's nodes end where the step ends."""
    k, h = 1 + tau**2, end - start
    total = -math.expm1(-k * h)
    if nodes[-1] == end:
        return [total - k * h / 2, k * h / 2]
    older = k * h**2 / 2 / (nodes[-2] - start)
    return [older, total - older]
