"""Nodes that read pictures from a job's files and hand pictures over for delivery."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from runtime.nodes.inputs import InputTypes, choice, text
from runtime.nodes.picture import PictureFile, channel, colours, transparency
from runtime.nodes.protocol import CONTEXT, InputFiles, NodeContext

if TYPE_CHECKING:
    from PIL.Image import Image
    from torch import Tensor

_PICTURE = (InputFiles("image"), {"image_upload": True})
_NO_MASK = (64, 64)  # the zero mask that ComfyUI gives for pictures without alpha


class LoadImage:
    """The frames of a picture file as a batch, with a mask of what is transparent in them."""

    RETURN_TYPES = ("IMAGE", "MASK")
    FUNCTION = "load_image"
    CATEGORY = "image"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"image": _PICTURE}, "hidden": {"context": CONTEXT}}

    def load_image(self, image: str, context: NodeContext) -> tuple[Tensor, Tensor]:
        frames = _file(image, context).frames()
        alike = [frame for frame in frames if frame.size == frames[0].size]
        return torch.stack([colours(frame) for frame in alike]), _masks(alike)


class LoadImageMask:
    """One channel of a picture file's first frame as a mask; of alpha, what it leaves transparent."""

    RETURN_TYPES = ("MASK",)
    FUNCTION = "load_image"
    CATEGORY = "mask"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {"image": _PICTURE, "channel": choice("alpha", "red", "green", "blue")},
            "hidden": {"context": CONTEXT},
        }

    def load_image(self, image: str, channel: str, context: NodeContext) -> tuple[Tensor]:
        (frame,) = _file(image, context).frames(most=1)
        return (_mask_of(frame, channel)[None],)


class SaveImage:
    """Pictures of a job's result, with the workflow in them."""

    RETURN_TYPES = ()
    FUNCTION = "save_images"
    CATEGORY = "image"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {"images": ("IMAGE",), "filename_prefix": text(default="ComfyUI")},
            "hidden": {"context": CONTEXT},
        }

    def save_images(self, images: Tensor, context: NodeContext, filename_prefix: str = "ComfyUI") -> dict[str, Any]:
        return {"ui": {"images": list(context.save_images(images, filename_prefix))}}


class PreviewImage:
    """Pictures to look at while a job runs, kept no longer than it."""

    RETURN_TYPES = ()
    FUNCTION = "save_images"
    CATEGORY = "image"
    OUTPUT_NODE = True

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"images": ("IMAGE",)}, "hidden": {"context": CONTEXT}}

    def save_images(self, images: Tensor, context: NodeContext) -> dict[str, Any]:
        return {"ui": {"images": list(context.save_images(images, "ComfyUI", temporary=True))}}


def _file(name: str, context: NodeContext) -> PictureFile:
    return PictureFile(name=name, path=context.input_path(name), max_pixels=context.max_pixels)


def _masks(frames: list[Image]) -> Tensor:
    """(B, H, W), of the frames' own size if one of them is transparent anywhere."""
    masks = [transparency(frame) for frame in frames]
    sizes = [mask.shape for mask in masks if mask is not None] or [torch.Size(_NO_MASK)]
    return torch.stack([torch.zeros(sizes[0]) if mask is None else mask for mask in masks])


def _mask_of(frame: Image, name: str) -> Tensor:
    levels = channel(frame, name[0].upper())
    return 1.0 - levels if name == "alpha" else levels


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "LoadImage": LoadImage,
    "LoadImageMask": LoadImageMask,
    "SaveImage": SaveImage,
    "PreviewImage": PreviewImage,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "LoadImage": "Load Image",
    "LoadImageMask": "Load Image (as Mask)",
    "SaveImage": "Save Image",
    "PreviewImage": "Preview Image",
}
