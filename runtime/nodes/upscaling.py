"""Nodes that enlarge pictures by a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.nodes.inputs import InputTypes, check_channels
from runtime.nodes.pictures import Pictures
from runtime.nodes.protocol import CONTEXT, ModelFiles, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from runtime.upscaling.upscaler import Upscaler

_CHANNELS = 3


class UpscaleModelLoader:
    """An ESRGAN, a Real-ESRGAN or its compact form."""

    RETURN_TYPES = ("UPSCALE_MODEL",)
    FUNCTION = "load_model"
    CATEGORY = "loaders"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"model_name": (ModelFiles("upscale_models"),)}, "hidden": {"context": CONTEXT}}

    def load_model(self, model_name: str, context: NodeContext) -> tuple[Upscaler]:
        return (context.models.upscaler(model_name),)


class ImageUpscaleWithModel:
    """A picture as many times as large on each side as the model makes it, tile by tile."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "upscale"
    CATEGORY = "image/upscaling"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {"upscale_model": ("UPSCALE_MODEL",), "image": ("IMAGE",)},
            "hidden": {"context": CONTEXT},
        }

    @staticmethod
    def PICTURES(upscale_model: Upscaler, image: Tensor, **_: object) -> Pictures:
        count, height, width = image.shape[:3]
        return Pictures(count, height * upscale_model.scale, width * upscale_model.scale)

    def upscale(self, upscale_model: Upscaler, image: Tensor, context: NodeContext) -> tuple[Tensor]:
        check_channels(image, _CHANNELS, "upscale model")
        return (upscale_model.upscale(image, on_tile=context.step),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "UpscaleModelLoader": UpscaleModelLoader,
    "ImageUpscaleWithModel": ImageUpscaleWithModel,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "UpscaleModelLoader": "Load Upscale Model",
    "ImageUpscaleWithModel": "Upscale Image (using Model)",
}
