"""Nodes that say where in the picture, and how strongly, a conditioning is at work."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.nodes.conditioning import with_options
from runtime.nodes.inputs import MAX_RESOLUTION, Conditioning, InputTypes, choice, decimal, integer

if TYPE_CHECKING:
    from torch import Tensor

_STRENGTH = decimal(1.0, 0.0, 10.0, 0.01)


class ConditioningSetArea:
    """The conditioning limited to a rectangle, in pixels."""

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "append"
    CATEGORY = "conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "conditioning": ("CONDITIONING",),
                "width": integer(64, 64, MAX_RESOLUTION, 8),
                "height": integer(64, 64, MAX_RESOLUTION, 8),
                "x": integer(0, 0, MAX_RESOLUTION, 8),
                "y": integer(0, 0, MAX_RESOLUTION, 8),
                "strength": _STRENGTH,
            }
        }

    def append(
        self, conditioning: Conditioning, width: int, height: int, x: int, y: int, strength: float
    ) -> tuple[Conditioning]:
        area = (height // 8, width // 8, y // 8, x // 8)
        return (with_options(conditioning, area=area, strength=strength, set_area_to_bounds=False),)


class ConditioningSetAreaPercentage:
    """The conditioning limited to a rectangle, in parts of the picture."""

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "append"
    CATEGORY = "conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "conditioning": ("CONDITIONING",),
                "width": decimal(1.0, 0, 1.0, 0.01),
                "height": decimal(1.0, 0, 1.0, 0.01),
                "x": decimal(0, 0, 1.0, 0.01),
                "y": decimal(0, 0, 1.0, 0.01),
                "strength": _STRENGTH,
            }
        }

    def append(
        self, conditioning: Conditioning, width: float, height: float, x: float, y: float, strength: float
    ) -> tuple[Conditioning]:
        area = ("percentage", height, width, y, x)
        return (with_options(conditioning, area=area, strength=strength, set_area_to_bounds=False),)


class ConditioningSetAreaStrength:
    """The conditioning with another weight against its neighbours."""

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "append"
    CATEGORY = "conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"conditioning": ("CONDITIONING",), "strength": _STRENGTH}}

    def append(self, conditioning: Conditioning, strength: float) -> tuple[Conditioning]:
        return (with_options(conditioning, strength=strength),)


class ConditioningSetMask:
    """The conditioning weighted by a mask; "mask bounds" also limits it to the mask's bounding box."""

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "append"
    CATEGORY = "conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "conditioning": ("CONDITIONING",),
                "mask": ("MASK",),
                "strength": _STRENGTH,
                "set_cond_area": choice("default", "mask bounds"),
            }
        }

    def append(
        self, conditioning: Conditioning, mask: Tensor, strength: float, set_cond_area: str
    ) -> tuple[Conditioning]:
        batch = mask if mask.ndim >= 3 else mask.unsqueeze(0)
        to_bounds = set_cond_area != "default"
        return (with_options(conditioning, mask=batch, set_area_to_bounds=to_bounds, mask_strength=strength),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ConditioningSetArea": ConditioningSetArea,
    "ConditioningSetAreaPercentage": ConditioningSetAreaPercentage,
    "ConditioningSetAreaStrength": ConditioningSetAreaStrength,
    "ConditioningSetMask": ConditioningSetMask,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "ConditioningSetArea": "Conditioning (Set Area)",
    "ConditioningSetAreaPercentage": "Conditioning (Set Area with Percentage)",
    "ConditioningSetMask": "Conditioning (Set Mask)",
}
