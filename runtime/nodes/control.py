"""Nodes that put a conditioning under the control of a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.nodes.inputs import Conditioning, InputTypes, check_channels, choice, decimal
from runtime.nodes.protocol import CONTEXT, ModelFiles, NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from runtime.diffusion.control import Control, ControlModel
    from runtime.diffusion.vae import Autoencoder

_STRENGTH = decimal(1.0, 0.0, 10.0, 0.01)
_AUTO = "auto"

# The kinds of a union of ControlNets, by their number (source: github.com/xinsir6/ControlNetPlus).
_KINDS = (
    "openpose",
    "depth",
    "hed/pidi/scribble/ted",
    "canny/lineart/anime_lineart/mlsd",
    "normal",
    "segment",
    "tile",
    "repaint",
)


class ControlNetLoader:
    """A ControlNet for SD 1.x, SD 2.x or SDXL, also a union of several."""

    RETURN_TYPES = ("CONTROL_NET",)
    FUNCTION = "load_controlnet"
    CATEGORY = "loaders"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"control_net_name": (ModelFiles("controlnet"),)}, "hidden": {"context": CONTEXT}}

    def load_controlnet(self, control_net_name: str, context: NodeContext) -> tuple[ControlModel]:
        return (context.models.control(control_net_name),)


class ControlNetApply:
    """The conditioning, and the other side's where that has no control, under the control of a picture."""

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "apply_controlnet"
    CATEGORY = "conditioning/controlnet"
    DEPRECATED = True

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "conditioning": ("CONDITIONING",),
                "control_net": ("CONTROL_NET",),
                "image": ("IMAGE",),
                "strength": _STRENGTH,
            }
        }

    def apply_controlnet(
        self, conditioning: Conditioning, control_net: ControlModel, image: Tensor, strength: float
    ) -> tuple[Conditioning]:
        if strength == 0:
            return (conditioning,)
        (controlled,) = _controlled((conditioning,), control_net, image, strength, lends=True)
        return (controlled,)


class ControlNetApplyAdvanced:
    """Both conditionings under the control of a picture, for a part of the way from noise to picture."""

    RETURN_TYPES = ("CONDITIONING", "CONDITIONING")
    RETURN_NAMES = ("positive", "negative")
    FUNCTION = "apply_controlnet"
    CATEGORY = "conditioning/controlnet"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "control_net": ("CONTROL_NET",),
                "image": ("IMAGE",),
                "strength": _STRENGTH,
                "start_percent": decimal(0.0, 0.0, 1.0, 0.001),
                "end_percent": decimal(1.0, 0.0, 1.0, 0.001),
            },
            "optional": {"vae": ("VAE",)},
        }

    def apply_controlnet(
        self,
        positive: Conditioning,
        negative: Conditioning,
        control_net: ControlModel,
        image: Tensor,
        strength: float,
        start_percent: float,
        end_percent: float,
        vae: Autoencoder | None = None,  # what other families' ControlNets read the picture through
    ) -> tuple[Conditioning, Conditioning]:
        if strength == 0:
            return (positive, negative)
        positive, negative = _controlled(
            (positive, negative), control_net, image, strength, start=start_percent, end=end_percent
        )
        return (positive, negative)


class SetUnionControlNetType:
    """The ControlNet told which of a union's controls its picture is."""

    RETURN_TYPES = ("CONTROL_NET",)
    FUNCTION = "set_controlnet_type"
    CATEGORY = "conditioning/controlnet"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"control_net": ("CONTROL_NET",), "type": choice(_AUTO, *_KINDS)}}

    def set_controlnet_type(self, control_net: ControlModel, type: str) -> tuple[ControlModel]:
        return (control_net.of_kinds(() if type == _AUTO else (_KINDS.index(type),)),)


def _controlled(
    conditionings: tuple[Conditioning, ...],
    control_net: ControlModel,
    image: Tensor,
    strength: float,
    *,
    start: float = 0.0,
    end: float = 1.0,
    lends: bool = False,
) -> list[Conditioning]:
    """The conditionings, every entry under one more control; entries that shared a control share the new one too."""
    from runtime.diffusion.control import Control

    check_channels(image, control_net.picture_channels, "ControlNet")
    picture = image.movedim(-1, 1)
    made: dict[Control | None, Control] = {}

    def over(previous: Control | None) -> Control:
        if previous not in made:
            made[previous] = Control(
                model=control_net, picture=picture, strength=strength, start=start, end=end, previous=previous
            )
        return made[previous]

    return [
        [
            [tensor, {**options, "control": over(options.get("control")), "control_apply_to_uncond": lends}]
            for tensor, options in conditioning
        ]
        for conditioning in conditionings
    ]


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ControlNetLoader": ControlNetLoader,
    "ControlNetApply": ControlNetApply,
    "ControlNetApplyAdvanced": ControlNetApplyAdvanced,
    "SetUnionControlNetType": SetUnionControlNetType,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "ControlNetLoader": "Load ControlNet Model",
    "ControlNetApply": "Apply ControlNet (OLD)",
    "ControlNetApplyAdvanced": "Apply ControlNet",
    "SetUnionControlNetType": "SetUnionControlNetType",
}
