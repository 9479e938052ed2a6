"""The stochastic DPM-Solver++: single-step, and multistep of second and third order, on one Brownian path.

Lu et al. 2022, arXiv:2211.01095, appendix on SDE-DPM-Solver++, with `eta` scaling the noise (Karras et al. 2022).
Time here is t = -log sigma. Noise is drawn on the CPU unless `noise_on_cpu` is false: then on the latent's device.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from torch import Tensor

from runtime.diffusion.samplers.walk import NoiseSource, Step, Walk, ancestral_split


def dpmpp_sde(
    walk: Walk, x: Tensor, *, eta: float = 1.0, s_noise: float = 1.0, r: float = 0.5, noise_on_cpu: bool = True
) -> Tensor:
    """A second evaluation at the share `r` of each step, reached with its own noise."""
    if walk.steps < 1:
        return x
    noise = walk.brownian_noise(x, on_cpu=noise_on_cpu)
    for step in walk:
        denoised = walk.predict(x, step)
        if step.sigma_next == 0:
            x = denoised
            continue
        start = _time(step.sigma)
        middle = (start + r * (_time(step.sigma_next) - start)).neg().exp()
        inner = _stochastic_move(x, denoised, replace(step, sigma_next=middle), noise, eta, s_noise)
        share = 1 / (2 * r)
        mixed = (1 - share) * denoised + share * walk.denoise(inner, middle)
        x = _stochastic_move(x, mixed, step, noise, eta, s_noise)
    return x


def dpmpp_2m_sde(
    walk: Walk,
    x: Tensor,
    *,
    eta: float = 1.0,
    s_noise: float = 1.0,
    solver_type: Literal["midpoint", "heun"] = "midpoint",
    noise_on_cpu: bool = True,
) -> Tensor:
    """Multistep of second order; `solver_type` weighs how the denoised latent changes."""
    if walk.steps < 1:
        return x
    noise = walk.brownian_noise(x, on_cpu=noise_on_cpu)
    before, h_before = x, x.new_zeros(())
    for step in walk:
        denoised = walk.predict(x, step)
        if step.sigma_next == 0:
            x = denoised
            continue
        h = _time(step.sigma_next) - _time(step.sigma)
        h_eta = h * (eta + 1)
        x = _decay(x, denoised, step, h, eta)
        if step.index > 0:
            weight = -(-h_eta).expm1() / 2 if solver_type == "midpoint" else _phi_2(h_eta)
            x = x + (denoised - before) * (weight * h / h_before)
        x = _add_noise(x, step, noise, h, eta, s_noise)
        before, h_before = denoised, h
    return x


def dpmpp_3m_sde(walk: Walk, x: Tensor, *, eta: float = 1.0, s_noise: float = 1.0, noise_on_cpu: bool = True) -> Tensor:
    """Multistep of third order. Source: github.com/crowsonkb/k-diffusion, sampling.py, sample_dpmpp_3m_sde."""
    if walk.steps < 1:
        return x
    noise = walk.brownian_noise(x, on_cpu=noise_on_cpu)
    history: list[tuple[Tensor, Tensor]] = []  # the denoised latents before this one, newest first, with their steps' h
    for step in walk:
        denoised = walk.predict(x, step)
        if step.sigma_next == 0:
            x = denoised
            continue
        h = _time(step.sigma_next) - _time(step.sigma)
        x = _decay(x, denoised, step, h, eta) + _change(denoised, history, h, eta)
        x = _add_noise(x, step, noise, h, eta, s_noise)
        history = [(denoised, h), *history][:2]
    return x


def _change(denoised: Tensor, history: list[tuple[Tensor, Tensor]], h: Tensor, eta: float) -> Tensor:
    """What the first and second derivative of the denoised latent add to a step, as far as the history tells them."""
    h_eta = h * (eta + 1)
    phi_2 = _phi_2(h_eta)
    if not history:
        return denoised.new_zeros(())
    (before, h_1), *older = history
    slope = (denoised - before) / (h_1 / h)
    if not older:
        return slope * phi_2
    (before_that, h_2), *_ = older
    r_0, r_1 = h_1 / h, h_2 / h
    bend = (slope - (before - before_that) / r_1) / (r_0 + r_1)
    return (slope + bend * r_0) * phi_2 - bend * (phi_2 / h_eta - 0.5)


def _stochastic_move(x: Tensor, denoised: Tensor, step: Step, noise: NoiseSource, eta: float, s_noise: float) -> Tensor:
    """Move x toward `denoised` below the end of `step`, and noise back up to it."""
    down, up = ancestral_split(step.sigma, step.sigma_next, eta)
    h = _time(down) - _time(step.sigma)
    x = x * (-h).exp() - denoised * (-h).expm1()
    if eta > 0 and s_noise > 0:
        x = x + noise(step.sigma, step.sigma_next) * (s_noise * up)
    return x


def _decay(x: Tensor, denoised: Tensor, step: Step, h: Tensor, eta: float) -> Tensor:
    """The exact solution of the SDE's drift for a denoised latent that does not change."""
    return x * (step.sigma_next / step.sigma * (-h * eta).exp()) - denoised * (-h * (eta + 1)).expm1()


def _add_noise(x: Tensor, step: Step, noise: NoiseSource, h: Tensor, eta: float, s_noise: float) -> Tensor:
    if not (eta > 0 and s_noise > 0):
        return x
    return x + noise(step.sigma, step.sigma_next) * (step.sigma_next * (-(-2 * h * eta).expm1()).sqrt() * s_noise)


def _phi_2(h: Tensor) -> Tensor:
    return h.neg().expm1() / h + 1


def _time(sigma: Tensor) -> Tensor:
    return sigma.log().neg()
