"""Nodes that split, turn round and change sigmas."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from runtime.nodes.inputs import InputTypes, decimal, integer

if TYPE_CHECKING:
    from torch import Tensor

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


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "SplitSigmas": SplitSigmas,
    "SplitSigmasDenoise": SplitSigmasDenoise,
    "FlipSigmas": FlipSigmas,
    "SetFirstSigma": SetFirstSigma,
}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
