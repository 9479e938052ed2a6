"""The node that brings a picture down to few colours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from runtime.nodes.inputs import InputTypes, choice, integer

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

_DITHERS = ("none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16")


class ImageQuantize:
    """Each picture in the `colors` that Pillow's median cut finds in it."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "quantize"
    CATEGORY = "image/postprocessing"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "image": ("IMAGE",),
                "colors": integer(256, 1, 256, 1),
                "dither": choice(*_DITHERS),
            }
        }

    def quantize(self, image: Tensor, colors: int, dither: str) -> tuple[Tensor]:
        levels = (image[..., :3] * 255).to(torch.uint8).cpu()
        return (torch.stack([_quantized(picture, colors, dither) for picture in levels]),)


def _quantized(levels: Tensor, colors: int, dither: str) -> Tensor:
    """`levels` (H, W, 3) of 0..255 as a float picture (H, W, 3) of at most `colors` colours."""
    from PIL import Image

    picture = Image.fromarray(levels.numpy())
    palette = picture.quantize(colors=colors)
    if dither.startswith("bayer-"):
        picture = _patterned(levels, palette, int(dither.removeprefix("bayer-")))
    method = Image.Dither.FLOYDSTEINBERG if dither == "floyd-steinberg" else Image.Dither.NONE
    return _floats(picture.quantize(palette=palette, dither=method))


def _patterned(levels: Tensor, palette: Image, order: int) -> Image:
    """`levels` moved up and down by a threshold pattern as wide as the step between two of the palette's colours."""
    from PIL import Image

    height, width, _ = levels.shape
    step = 2 * 256 / (len(palette.getpalette() or ()) // 3)
    pattern = (step * _bayer(order) + 0.5).repeat(-(-height // order), -(-width // order))[:height, :width, None]
    return Image.fromarray((levels.float() + pattern).clamp(0, 255).to(torch.uint8).numpy())


def _bayer(order: int) -> Tensor:
    """Thresholds (order, order) around nought for an `order` that is a power of two.

    Bayer, An optimum method for two-level rendition of continuous-tone pictures, 1973, in ComfyUI's orientation.
    """
    if order == 1:
        return torch.zeros(1, 1)
    quarter = _bayer(order // 2)
    shift = torch.tensor([[-1.5, 0.5], [1.5, -0.5]]) / (order * order)
    return quarter.repeat(2, 2) + shift.repeat_interleave(order // 2, 0).repeat_interleave(order // 2, 1)


def _floats(picture: Image) -> Tensor:
    import numpy as np

    return torch.from_numpy(np.array(picture.convert("RGB"))).float() / 255


NODE_CLASS_MAPPINGS: dict[str, type] = {"ImageQuantize": ImageQuantize}
NODE_DISPLAY_NAME_MAPPINGS = {"ImageQuantize": "Image Quantize"}
