"""Nodes that make the sigmas of a sampling. Their formulae stand in runtime.diffusion.schedules."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from runtime.nodes.inputs import InputTypes, choice, decimal, integer

if TYPE_CHECKING:
    from torch import Tensor

    from runtime.diffusion.model import DiffusionModel

_CATEGORY = "sampling/custom_sampling/schedulers"
_STEPS = integer(20, 1, 10000)
_SIGMA_MAX = decimal(14.614642, 0.0, 5000.0, 0.01, round=False)
_SIGMA_MIN = decimal(0.0291675, 0.0, 5000.0, 0.01, round=False)
_ENDS = {"steps": _STEPS, "sigma_max": _SIGMA_MAX, "sigma_min": _SIGMA_MIN}


class BasicScheduler:
    """The last `steps` sigmas of a schedule of `steps` / `denoise` steps; none at all where `denoise` is 0."""

    RETURN_TYPES = ("SIGMAS",)
    FUNCTION = "get_sigmas"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        from runtime.diffusion.schedules import SCHEDULER_NAMES

        return {
            "required": {
                "model": ("MODEL",),
                "scheduler": choice(*SCHEDULER_NAMES),
                "steps": _STEPS,
                "denoise": decimal(1.0, 0.0, 1.0, 0.01),
            }
        }

    def get_sigmas(self, model: DiffusionModel, scheduler: str, steps: int, denoise: float) -> tuple[Tensor]:
        from runtime.diffusion.schedules import scheduler_sigmas

        if denoise <= 0.0:
            return (torch.empty(0),)
        total = steps if denoise >= 1.0 else int(steps / denoise)
        return (scheduler_sigmas(model.prediction, scheduler, total)[-(steps + 1) :],)


class KarrasScheduler:
    """Sigmas even in their `rho`-th root."""

    RETURN_TYPES = ("SIGMAS",)
    FUNCTION = "get_sigmas"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {**_ENDS, "rho": decimal(7.0, 0.0, 100.0, 0.01, round=False)}}

    def get_sigmas(self, steps: int, sigma_max: float, sigma_min: float, rho: float) -> tuple[Tensor]:
        from runtime.diffusion.schedules import karras_sigmas

        return (karras_sigmas(steps, sigma_min=sigma_min, sigma_max=sigma_max, rho=rho),)


class ExponentialScheduler:
    """Sigmas even in their logarithm."""

    RETURN_TYPES = ("SIGMAS",)
    FUNCTION = "get_sigmas"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": dict(_ENDS)}

    def get_sigmas(self, steps: int, sigma_max: float, sigma_min: float) -> tuple[Tensor]:
        from runtime.diffusion.schedules import exponential_sigmas

        return (exponential_sigmas(steps, sigma_min=sigma_min, sigma_max=sigma_max),)


class PolyexponentialScheduler:
    """Sigmas whose logarithm falls as a power of the step."""

    RETURN_TYPES = ("SIGMAS",)
    FUNCTION = "get_sigmas"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {**_ENDS, "rho": decimal(1.0, 0.0, 100.0, 0.01, round=False)}}

    def get_sigmas(self, steps: int, sigma_max: float, sigma_min: float, rho: float) -> tuple[Tensor]:
        from runtime.diffusion.schedules import polyexponential_sigmas

        return (polyexponential_sigmas(steps, sigma_min=sigma_min, sigma_max=sigma_max, rho=rho),)


class LaplaceScheduler:
    """Sigmas at quantiles of a Laplace distribution of their logarithm."""

    RETURN_TYPES = ("SIGMAS",)
    FUNCTION = "get_sigmas"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        mu, beta = decimal(0.0, -10.0, 10.0, 0.1, round=False), decimal(0.5, 0.0, 10.0, 0.1, round=False)
        return {"required": {**_ENDS, "mu": mu, "beta": beta}}

    def get_sigmas(self, steps: int, sigma_max: float, sigma_min: float, mu: float, beta: float) -> tuple[Tensor]:
        from runtime.diffusion.schedules import laplace_sigmas

        return (laplace_sigmas(steps, sigma_min=sigma_min, sigma_max=sigma_max, mu=mu, beta=beta),)


class VPScheduler:
    """Sigmas of the continuous variance-preserving process."""

    RETURN_TYPES = ("SIGMAS",)
    FUNCTION = "get_sigmas"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "steps": _STEPS,
                "beta_d": decimal(19.9, 0.0, 5000.0, 0.01, round=False),
                "beta_min": decimal(0.1, 0.0, 5000.0, 0.01, round=False),
                "eps_s": decimal(0.001, 0.0, 1.0, 0.0001, round=False),
            }
        }

    def get_sigmas(self, steps: int, beta_d: float, beta_min: float, eps_s: float) -> tuple[Tensor]:
        from runtime.diffusion.schedules import variance_preserving_sigmas

        return (variance_preserving_sigmas(steps, beta_d=beta_d, beta_min=beta_min, eps_s=eps_s),)


class BetaSamplingScheduler:
    """A model's sigmas at quantiles of a beta distribution."""

    RETURN_TYPES = ("SIGMAS",)
    FUNCTION = "get_sigmas"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        shape = decimal(0.6, 0.0, 50.0, 0.01, round=False)
        return {"required": {"model": ("MODEL",), "steps": _STEPS, "alpha": shape, "beta": shape}}

    def get_sigmas(self, model: DiffusionModel, steps: int, alpha: float, beta: float) -> tuple[Tensor]:
        from runtime.diffusion.schedules import beta_sigmas

        return (beta_sigmas(model.prediction, steps, alpha=alpha, beta=beta),)


class SDTurboScheduler:
    """A model's sigmas at the ten timesteps that SD Turbo was distilled for."""

    RETURN_TYPES = ("SIGMAS",)
    FUNCTION = "get_sigmas"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "model": ("MODEL",),
                "steps": integer(1, 1, 10),
                "denoise": decimal(1.0, 0, 1.0, 0.01),
            }
        }

    def get_sigmas(self, model: DiffusionModel, steps: int, denoise: float) -> tuple[Tensor]:
        from runtime.diffusion.schedules import turbo_sigmas

        return (turbo_sigmas(model.prediction, steps, denoise),)


class AlignYourStepsScheduler:
    """Ten steps that were optimised for a family of models; other numbers lie between them."""

    RETURN_TYPES = ("SIGMAS",)
    FUNCTION = "get_sigmas"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "model_type": choice("SD1", "SDXL", "SVD"),
                "steps": integer(10, 1, 10000),
                "denoise": decimal(1.0, 0.0, 1.0, 0.01),
            }
        }

    def get_sigmas(self, model_type: str, steps: int, denoise: float) -> tuple[Tensor]:
        from runtime.diffusion.aligned_steps import aligned_sigmas

        if denoise <= 0.0:
            return (torch.empty(0),)
        sigmas = aligned_sigmas(model_type, steps)
        return (sigmas[-(round(steps * min(denoise, 1.0)) + 1) :],)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "BasicScheduler": BasicScheduler,
    "KarrasScheduler": KarrasScheduler,
    "ExponentialScheduler": ExponentialScheduler,
    "PolyexponentialScheduler": PolyexponentialScheduler,
    "LaplaceScheduler": LaplaceScheduler,
    "VPScheduler": VPScheduler,
    "BetaSamplingScheduler": BetaSamplingScheduler,
    "SDTurboScheduler": SDTurboScheduler,
    "AlignYourStepsScheduler": AlignYourStepsScheduler,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
