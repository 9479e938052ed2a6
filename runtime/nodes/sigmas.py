"""Nodes that split, turn round, extend and change sigmas, or look one up."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import TYPE_CHECKING

import torch

from runtime.nodes.inputs import InputTypes, choice, decimal, flag, integer

if TYPE_CHECKING:
    from torch import Tensor

    from runtime.diffusion.model import DiffusionModel

_CATEGORY = "sampling/custom_sampling/sigmas"
_LEAST = 0.0001  # what a turned schedule starts from instead of 0


class SplitSigmas:
    """The sigmas up to a step and those from it on; both hold the sigma of the step itself."""

    RETURN_TYPES = ("SIGMAS", "SIGMAS")
    RETURN_NAMES = ("high_sigmas", "low_sigmas")
    FUNCTION = "get_sigmas"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"sigmas": ("SIGMAS",), "step": integer(0, 0, 10000)}}

    def get_sigmas(self, sigmas: Tensor, step: int) -> tuple[Tensor, Tensor]:
        return sigmas[: step + 1], sigmas[step:]


class SplitSigmasDenoise:
    """The sigmas split so that the second part takes the share `denoise` of the steps."""

    RETURN_TYPES = ("SIGMAS", "SIGMAS")
    RETURN_NAMES = ("high_sigmas", "low_sigmas")
    FUNCTION = "get_sigmas"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"sigmas": ("SIGMAS",), "denoise": decimal(1.0, 0.0, 1.0, 0.01)}}

    def get_sigmas(self, sigmas: Tensor, denoise: float) -> tuple[Tensor, Tensor]:
        steps = round(max(len(sigmas) - 1, 0) * denoise)
        return sigmas[:-steps], sigmas[-(steps + 1) :]


class FlipSigmas:
    """The sigmas from the last to the first, for a sampling that adds noise."""

    RETURN_TYPES = ("SIGMAS",)
    FUNCTION = "get_sigmas"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"sigmas": ("SIGMAS",)}}

    def get_sigmas(self, sigmas: Tensor) -> tuple[Tensor]:
        turned = sigmas.flip(0)
        if len(turned) and turned[0] == 0:
            turned[0] = _LEAST
        return (turned,)


class SetFirstSigma:
    """The sigmas with another one in the first place."""

    RETURN_TYPES = ("SIGMAS",)
    FUNCTION = "set_first_sigma"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        sigma = decimal(136.0, 0.0, 20000.0, 0.001, round=False)
        return {"required": {"sigmas": ("SIGMAS",), "sigma": sigma}}

    def set_first_sigma(self, sigmas: Tensor, sigma: float) -> tuple[Tensor]:
        return (torch.cat((sigmas.new_tensor([sigma]), sigmas[1:])),)


class ExtendIntermediateSigmas:
    """The sigmas with `steps` in the place of each step that begins between two of them; -1 is no upper end."""

    RETURN_TYPES = ("SIGMAS",)
    FUNCTION = "extend"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "sigmas": ("SIGMAS",),
                "steps": integer(2, 1, 100),
                "start_at_sigma": decimal(-1.0, -1.0, 20000.0, 0.01, round=False),
                "end_at_sigma": decimal(12.0, 0.0, 20000.0, 0.01, round=False),
                "spacing": choice("linear", "cosine", "sine"),
            }
        }

    def extend(
        self, sigmas: Tensor, steps: int, start_at_sigma: float, end_at_sigma: float, spacing: str
    ) -> tuple[Tensor]:
        highest = math.inf if start_at_sigma < 0 else start_at_sigma
        shares = _spaced(torch.linspace(0, 1, steps + 1)[1:-1], spacing)
        extended: list[float] = []
        for level, following in pairwise(sigmas):
            extended.append(float(level))
            if end_at_sigma <= level <= highest:
                extended += (shares * (following - level) + level).tolist()
        return (torch.tensor([*extended, *sigmas[-1:].tolist()], dtype=torch.float32),)


class SamplingPercentToSigma:
    """The sigma at a share of the way from noise to picture.

    At the ends that is what no step lies beyond, unless `return_actual_sigma` asks for the model's own.
    """

    RETURN_TYPES = ("FLOAT",)
    RETURN_NAMES = ("sigma_value",)
    FUNCTION = "get_sigma"
    CATEGORY = _CATEGORY

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "model": ("MODEL", {}),
                "sampling_percent": decimal(0.0, 0.0, 1.0, 0.0001),
                "return_actual_sigma": flag(False),
            }
        }

    def get_sigma(self, model: DiffusionModel, sampling_percent: float, return_actual_sigma: bool) -> tuple[float]:
        prediction = model.prediction
        if return_actual_sigma and sampling_percent in (0.0, 1.0):
            return (float(prediction.sigma_max if sampling_percent == 0.0 else prediction.sigma_min),)
        return (prediction.percent_to_sigma(sampling_percent),)


def _spaced(shares: Tensor, spacing: str) -> Tensor:
    """Shares of a step, drawn towards its end by "cosine" and towards its beginning by "sine"."""
    if spacing == "cosine":
        return torch.sin(shares * math.pi / 2)
    return 1 - torch.cos(shares * math.pi / 2) if spacing == "sine" else shares


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "SplitSigmas": SplitSigmas,
    "SplitSigmasDenoise": SplitSigmasDenoise,
    "FlipSigmas": FlipSigmas,
    "SetFirstSigma": SetFirstSigma,
    "ExtendIntermediateSigmas": ExtendIntermediateSigmas,
    "SamplingPercentToSigma": SamplingPercentToSigma,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
