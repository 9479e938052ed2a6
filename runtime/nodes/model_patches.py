"""Nodes that change how a model's output is read. The weights stay shared with the model that they are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.nodes.inputs import InputTypes, choice, decimal, flag

if TYPE_CHECKING:
    from runtime.diffusion.model import DiffusionModel


class ModelSamplingDiscrete:
    """The model read as one that predicts something else, `zsnr` with no signal left at the last timestep."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    CATEGORY = "advanced/model"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "model": ("MODEL",),
                "sampling": choice("eps", "v_prediction", "lcm", "x0", "img_to_img"),
                "zsnr": flag(False),
            }
        }

    def patch(self, model: DiffusionModel, sampling: str, zsnr: bool) -> tuple[DiffusionModel]:
        from runtime.diffusion.prediction import Parameterization, Prediction

        prediction = Prediction(parameterization=Parameterization(sampling), zero_terminal_snr=zsnr)
        return (model.with_prediction(prediction),)


class RescaleCFG:
    """The model with `multiplier` of its guidance brought back to the contrast that the positive prompt has alone."""

    RETURN_TYPES = ("MODEL",)
    FUNCTION = "patch"
    CATEGORY = "advanced/model"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"model": ("MODEL",), "multiplier": decimal(0.7, 0.0, 1.0, 0.01)}}

    def patch(self, model: DiffusionModel, multiplier: float) -> tuple[DiffusionModel]:
        return (model.with_cfg_rescale(multiplier),)


NODE_CLASS_MAPPINGS: dict[str, type] = {"ModelSamplingDiscrete": ModelSamplingDiscrete, "RescaleCFG": RescaleCFG}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
