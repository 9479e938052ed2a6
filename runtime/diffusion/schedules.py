"""The noise levels that a sampler walks through: ComfyUI's schedulers and the formulae behind its scheduler nodes.

Every schedule is a float32 tensor on the CPU, falling, one sigma a step and one for the end (mostly 0).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import MappingProxyType

import torch
from torch import Tensor

from runtime.diffusion.incomplete_beta import beta_quantile
from runtime.diffusion.prediction import Prediction
from runtime.errors import InvalidRequest

Schedule = Callable[[Prediction, int], Tensor]


def scheduler_sigmas(prediction: Prediction, scheduler: str, steps: int) -> Tensor:
    """The sigmas of `steps` steps from all noise to none, (steps + 1,).

    `ddim_uniform` and `beta` take as many steps as their rule makes of `steps`. Raises InvalidRequest for a scheduler
    that is not in `SCHEDULER_NAMES`.
    """
    if scheduler not in SCHEDULES:
        raise InvalidRequest(f"scheduler {scheduler!r} is unknown, expected one of {', '.join(SCHEDULER_NAMES)}")
    return SCHEDULES[scheduler](prediction, steps)


def simple_sigmas(prediction: Prediction, steps: int) -> Tensor:
    """Every (T / steps)-th of the model's own levels, from the noisiest."""
    levels = prediction.sigmas
    stride = len(levels) / steps
    return _ending_in_zero(levels[[-(1 + int(step * stride)) for step in range(steps)]])


def ddim_uniform_sigmas(prediction: Prediction, steps: int) -> Tensor:
    """Every (T // steps)-th of the model's own levels, from the second on (Song et al. 2020, arXiv:2010.02502)."""
    levels = prediction.sigmas
    stride = max(len(levels) // steps, 1)
    return _ending_in_zero(levels[1::stride].flip(0))


def normal_sigmas(prediction: Prediction, steps: int) -> Tensor:
    """Levels at evenly spaced timesteps, both ends among them."""
    first, last = _end_timesteps(prediction)
    return _ending_in_zero(prediction.sigma(torch.linspace(first, last, steps)))


def sgm_uniform_sigmas(prediction: Prediction, steps: int) -> Tensor:
    """Levels at evenly spaced timesteps, the last of which is left out for 0."""
    first, last = _end_timesteps(prediction)
    return _ending_in_zero(prediction.sigma(torch.linspace(first, last, steps + 1)[:-1]))


def beta_sigmas(prediction: Prediction, steps: int, alpha: float = 0.6, beta: float = 0.6) -> Tensor:
    """Levels at quantiles of the Beta distribution, dense at both ends (Lee et al. 2024, arXiv:2407.12173).

    Steps that fall on one level are taken once, so that there may be fewer.
    """
    levels = prediction.sigmas
    quantiles = (beta_quantile(1 - step / steps, alpha, beta) for step in range(steps))
    indices = [round(quantile * (len(levels) - 1)) for quantile in quantiles]
    kept = [index for index, before in zip(indices, [-1, *indices], strict=False) if index != before]
    return _ending_in_zero(levels[kept])


def linear_quadratic_sigmas(prediction: Prediction, steps: int, threshold: float = 0.025) -> Tensor:
    """Half of the steps linear down to 1 - `threshold` of the noise, the others quadratic to 0, joined smoothly.

    Source: github.com/genmoai/mochi, src/genmo/mochi_preview/pipelines.py.
    """
    linear = max(steps // 2, 1)
    quadratic = steps - linear
    slope = threshold / linear
    bend = (1 - threshold - slope * quadratic) / max(quadratic, 1) ** 2
    removed = [slope * step for step in range(linear)]
    removed += [threshold + slope * step + bend * step**2 for step in range(quadratic)]
    return torch.tensor([*(1 - share for share in removed), 0.0]) * prediction.sigma_max


def karras_sigmas(steps: int, *, sigma_min: float, sigma_max: float, rho: float = 7.0) -> Tensor:
    """Levels even in sigma^(1 / rho), then 0 (Karras et al. 2022, arXiv:2206.00364, equation 5)."""
    low, high = sigma_min ** (1 / rho), sigma_max ** (1 / rho)
    return _ending_in_zero((high + torch.linspace(0, 1, steps) * (low - high)) ** rho)


def exponential_sigmas(steps: int, *, sigma_min: float, sigma_max: float) -> Tensor:
    """Levels even in log sigma, then 0."""
    return _ending_in_zero(torch.linspace(math.log(sigma_max), math.log(sigma_min), steps).exp())


def polyexponential_sigmas(steps: int, *, sigma_min: float, sigma_max: float, rho: float = 1.0) -> Tensor:
    """Levels whose log sigma falls as a ramp to the power `rho`, then 0."""
    low, high = math.log(sigma_min), math.log(sigma_max)
    return _ending_in_zero(torch.exp(torch.linspace(1, 0, steps) ** rho * (high - low) + low))


def laplace_sigmas(steps: int, *, sigma_min: float, sigma_max: float, mu: float = 0.0, beta: float = 0.5) -> Tensor:
    """Quantiles of a Laplace distribution of log sigma, (steps,), no 0 behind (Hang et al. 2024, arXiv:2407.03297)."""
    from_middle = 0.5 - torch.linspace(0, 1, steps)
    log_sigmas = mu - beta * from_middle.sign() * torch.log(1 - 2 * from_middle.abs() + 1e-5)
    return log_sigmas.exp().clamp(min=sigma_min, max=sigma_max)


def variance_preserving_sigmas(
    steps: int, *, beta_d: float = 19.9, beta_min: float = 0.1, eps_s: float = 1e-3
) -> Tensor:
    """Levels of the variance-preserving process at even times, then 0 (Song et al. 2021, arXiv:2011.13456)."""
    t = torch.linspace(1, eps_s, steps)
    return _ending_in_zero(torch.expm1(beta_d * t**2 / 2 + beta_min * t).sqrt())


def turbo_sigmas(prediction: Prediction, steps: int, denoise: float = 1.0) -> Tensor:
    """The levels that SD Turbo was distilled at, each tenth of the timesteps (Sauer et al. 2023, arXiv:2311.17042)."""
    skipped = 10 - int(10 * denoise)
    timesteps = torch.arange(999, 0, -100)[skipped : skipped + steps]
    return _ending_in_zero(prediction.sigma(timesteps))


def kl_optimal_sigmas(steps: int, *, sigma_min: float, sigma_max: float) -> Tensor:
    """Levels even in arctan sigma, then 0 (Sabour et al. 2024, arXiv:2404.14507, the closed form of its appendix)."""
    share = torch.linspace(0, 1, steps)
    return _ending_in_zero((share * math.atan(sigma_min) + (1 - share) * math.atan(sigma_max)).tan())


def _between_ends(schedule: Callable[..., Tensor]) -> Schedule:
    """`schedule` between the lowest and the highest noise that the model was trained on."""

    def sigmas(prediction: Prediction, steps: int) -> Tensor:
        return schedule(steps, sigma_min=float(prediction.sigma_min), sigma_max=float(prediction.sigma_max))

    return sigmas


def _end_timesteps(prediction: Prediction) -> tuple[float, float]:
    return float(prediction.timestep(prediction.sigma_max)), float(prediction.timestep(prediction.sigma_min))


def _ending_in_zero(sigmas: Tensor) -> Tensor:
    return torch.cat([sigmas, sigmas.new_zeros(1)])


SCHEDULES: Mapping[str, Schedule] = MappingProxyType(
    {
        "simple": simple_sigmas,
        "sgm_uniform": sgm_uniform_sigmas,
        "karras": _between_ends(karras_sigmas),
        "exponential": _between_ends(exponential_sigmas),
        "ddim_uniform": ddim_uniform_sigmas,
        "beta": beta_sigmas,
        "normal": normal_sigmas,
        "linear_quadratic": linear_quadratic_sigmas,
        "kl_optimal": _between_ends(kl_optimal_sigmas),
    }
)
SCHEDULER_NAMES = tuple(SCHEDULES)
