"""DPM-Solver of orders 1 to 3: a number of evaluations spent evenly, or as many as an error bound asks for.

Lu et al. 2022, arXiv:2206.00927. Time here is t = -log sigma, the paper's lambda where alpha is 1.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from runtime.diffusion.samplers.walk import Walk, ancestral_split


def dpm_fast(walk: Walk, x: Tensor) -> Tensor:
    """As many evaluations as the walk has steps, in steps of order 3 with a rest of lower order (section 3.4)."""
    if walk.steps < 1:
        return x
    solver, budget = _Solver(walk), walk.steps
    groups = budget // 3 + 1
    orders = [3] * (groups - 2) + [2, 1] if budget % 3 == 0 else [3] * (groups - 1) + [budget % 3]
    times = torch.linspace(solver.start, solver.end, groups + 1)
    for index, order in enumerate(orders):
        t, t_next = times[index], times[index + 1]
        eps = solver.eps(x, t)
        walk.on_step(index, x - _sigma(t) * eps)
        x = solver.advance(x, t, t_next, eps, order)
    return x


def dpm_adaptive(
    walk: Walk,
    x: Tensor,
    *,
    order: int = 3,
    rtol: float = 0.05,
    atol: float = 0.0078,
    h_init: float = 0.05,
    pcoeff: float = 0.0,
    icoeff: float = 1.0,
    dcoeff: float = 0.0,
    accept_safety: float = 0.81,
    eta: float = 0.0,
    s_noise: float = 1.0,
) -> Tensor:
    """DPM-Solver-12 or -23 with steps as long as the error allows (appendix C); the walk gives only its two ends."""
    if walk.steps < 1:
        return x
    solver, noise = _Solver(walk), walk.step_noise(x)
    controller = StepSizeController(
        h=h_init, p=pcoeff, i=icoeff, d=dcoeff, order=1.5 if eta else order, accept_safety=accept_safety
    )
    t, attempts, x_before = solver.start, 0, x
    while t < solver.end - 1e-5:
        t_next = torch.minimum(solver.end, t + controller.h)
        down, up = solver.ancestral(t, t_next, eta)
        eps = solver.eps(x, t)
        lower, higher = solver.two_orders(x, t, down, eps, order)
        bound = torch.maximum(torch.full_like(x, atol), rtol * torch.maximum(lower.abs(), x_before.abs()))
        error = float(torch.linalg.norm((lower - higher) / bound)) / x.numel() ** 0.5
        walk.on_step(min(attempts, walk.steps - 1), x - _sigma(t) * eps)
        attempts += 1
        if controller.accepts(error):
            x_before, x = lower, higher
            if eta:
                x = x + noise(_sigma(t), _sigma(t_next)) * (s_noise * up)
            t = t_next
    return x


class StepSizeController:
    """Proportional-integral-derivative control of a solver's step (Soderlind 2003, doi:10.1145/641876.641877)."""

    def __init__(self, *, h: float, p: float, i: float, d: float, order: float, accept_safety: float) -> None:
        self.h = h
        self._exponents = ((p + i + d) / order, -(p + 2 * d) / order, d / order)
        self._accept_safety = accept_safety
        self._accepted: tuple[float, float] | None = None

    def accepts(self, error: float) -> bool:
        """Whether a step with `error` (1 is the bound) stands; sets `h` for the next one, or for trying again."""
        inverse = 1 / (error + 1e-8)
        history = (inverse, *(self._accepted or (inverse, inverse)))
        factor = math.prod(value**exponent for value, exponent in zip(history, self._exponents, strict=True))
        factor = 1 + math.atan(factor - 1)
        self.h *= factor
        accepted = factor >= self._accept_safety
        self._accepted = history[:2] if accepted else history[1:]
        return accepted


class _Solver:
    def __init__(self, walk: Walk) -> None:
        self._denoise = walk.denoise
        last = walk.sigmas[-1] if walk.sigmas[-1] > 0 else walk.sigmas[-2]
        self.start, self.end = -walk.sigmas[0].log(), -last.log()

    def eps(self, x: Tensor, t: Tensor) -> Tensor:
        """The noise that the model sees in x, (B, C, h, w)."""
        return (x - self._denoise(x, _sigma(t))) / _sigma(t)

    def advance(self, x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor, order: int) -> Tensor:
        """One step of `order` 1, 2 or 3 from `t`, where the noise is `eps`."""
        if order == 1:
            return _first_order(x, t, t_next, eps)
        if order == 2:
            return _second_order(x, t, t_next, eps, self._eps_within(x, t, t_next, eps, 1 / 2), 1 / 2)
        return self._third_order(x, t, t_next, eps, self._eps_within(x, t, t_next, eps, 1 / 3))

    def two_orders(self, x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor, order: int) -> tuple[Tensor, Tensor]:
        """The same step by `order` - 1 and by `order`, which share their evaluations."""
        within = 1 / order
        eps_within = self._eps_within(x, t, t_next, eps, within)
        second = _second_order(x, t, t_next, eps, eps_within, within)
        if order == 2:
            return _first_order(x, t, t_next, eps), second
        return second, self._third_order(x, t, t_next, eps, eps_within)

    def ancestral(self, t: Tensor, t_next: Tensor, eta: float) -> tuple[Tensor, Tensor]:
        """The time to step to and the noise to add there, so that together they reach the level of `t_next`."""
        if not eta:
            return t_next, t.new_zeros(())
        split = ancestral_split(_sigma(t), _sigma(t_next), eta)
        down = torch.minimum(self.end, -split.down.log())
        return down, (_sigma(t_next) ** 2 - _sigma(down) ** 2) ** 0.5

    def _eps_within(self, x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor, share: float) -> Tensor:
        within = t + share * (t_next - t)
        return self.eps(_first_order(x, t, within, eps), within)

    def _third_order(self, x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor, eps_third: Tensor) -> Tensor:
        """The paper's DPM-Solver-3, with its inner points at a third and two thirds of the step."""
        two_thirds = t + 2 / 3 * (t_next - t)
        at_two_thirds = self.eps(_with_bend(x, t, two_thirds, eps, 2 * (eps_third - eps)), two_thirds)
        return _with_bend(x, t, t_next, eps, 3 / 2 * (at_two_thirds - eps))


def _first_order(x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor) -> Tensor:
    return x - eps * (_sigma(t_next) * (t_next - t).expm1())


def _second_order(x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor, eps_within: Tensor, share: float) -> Tensor:
    growth = _sigma(t_next) * (t_next - t).expm1()
    return x - eps * growth - (eps_within - eps) * (growth / (2 * share))


def _with_bend(x: Tensor, t: Tensor, t_next: Tensor, eps: Tensor, bend: Tensor) -> Tensor:
    """A step along noise that changes by `bend` over it."""
    h = t_next - t
    return _first_order(x, t, t_next, eps) - bend * (_sigma(t_next) * (h.expm1() / h - 1))


def _sigma(t: Tensor) -> Tensor:
    return t.neg().exp()
