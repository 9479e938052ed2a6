"""Nodes that part a picture from its transparency, and bring both together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from runtime.nodes.inputs import InputTypes
from runtime.nodes.mask import flat
from runtime.nodes.resize import resize

if TYPE_CHECKING:
    from torch import Tensor


class SplitImageWithAlpha:
    """The colours of a picture, and as a mask what of it is transparent: nothing where it has no alpha channel."""

    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "execute"
    CATEGORY = "mask/compositing"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"image": ("IMAGE",)}}

    def execute(self, image: Tensor) -> tuple[Tensor, Tensor]:
        has_alpha = image.shape[-1] > 3
        mask = 1.0 - image[..., 3] if has_alpha else torch.zeros_like(image[..., 0])
        return image[..., :3], mask


class JoinImageWithAlpha:
    """A picture with an alpha channel that shows what the mask `alpha`, brought to its size, leaves open.

    Of a batch of pictures and one of masks as many are joined as the shorter one has.
    """

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "execute"
    CATEGORY = "mask/compositing"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"image": ("IMAGE",), "alpha": ("MASK",)}}

    def execute(self, image: Tensor, alpha: Tensor) -> tuple[Tensor]:
        height, width = image.shape[1:3]
        mask = resize(flat(alpha)[:, None], width, height, "bilinear")[:, 0]
        count = min(len(image), len(mask))
        return (torch.cat((image[:count, ..., :3], 1.0 - mask[:count, ..., None]), dim=-1),)


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "SplitImageWithAlpha": SplitImageWithAlpha,
    "JoinImageWithAlpha": JoinImageWithAlpha,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "SplitImageWithAlpha": "Split Image with Alpha",
    "JoinImageWithAlpha": "Join Image with Alpha",
}
