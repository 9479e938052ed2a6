"""Nodes that turn prompts into conditionings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.nodes.inputs import MAX_RESOLUTION, Conditioning, InputTypes, decimal, integer, present, prompt

if TYPE_CHECKING:
    from torch import Tensor

    from runtime.diffusion.text_encoder import TextEncoder

_NO_TEXT_ENCODER = "text encoder"
_SIDE = integer(1024, 0, MAX_RESOLUTION)
_OFFSET = integer(0, 0, MAX_RESOLUTION)


class CLIPTextEncode:
    """A prompt encoded for any model family."""

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "encode"
    CATEGORY = "conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"text": prompt(), "clip": ("CLIP",)}}

    def encode(self, clip: TextEncoder, text: str) -> tuple[Conditioning]:
        encoder: TextEncoder = present(clip, "CLIPTextEncode", _NO_TEXT_ENCODER)
        return (_conditioning(encoder.encode(text)),)


class CLIPTextEncodeSDXL:
    """A prompt for each of SDXL's two encoders, with the sizes in pixels that SDXL is told."""

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "encode"
    CATEGORY = "advanced/conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "clip": ("CLIP",),
                "width": _SIDE,
                "height": _SIDE,
                "crop_w": _OFFSET,
                "crop_h": _OFFSET,
                "target_width": _SIDE,
                "target_height": _SIDE,
                "text_g": prompt(),
                "text_l": prompt(),
            }
        }

    def encode(self, clip: TextEncoder, text_g: str, text_l: str, **sizes: int) -> tuple[Conditioning]:
        encoder: TextEncoder = present(clip, "CLIPTextEncodeSDXL", _NO_TEXT_ENCODER)
        return (_conditioning(encoder.encode_pair(text_g, text_l), **sizes),)


class CLIPTextEncodeSDXLRefiner:
    """A prompt for SDXL's refiner, with the aesthetic score and the size in pixels that it is told."""

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "encode"
    CATEGORY = "advanced/conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "ascore": decimal(6.0, 0.0, 1000.0, 0.01),
                "width": _SIDE,
                "height": _SIDE,
                "text": prompt(),
                "clip": ("CLIP",),
            }
        }

    def encode(self, clip: TextEncoder, ascore: float, width: int, height: int, text: str) -> tuple[Conditioning]:
        encoder: TextEncoder = present(clip, "CLIPTextEncodeSDXLRefiner", _NO_TEXT_ENCODER)
        return (_conditioning(encoder.encode(text), aesthetic_score=ascore, width=width, height=height),)


class CLIPSetLastLayer:
    """The text encoder stopped at an earlier layer: -1 is the last one, -2 the one before it."""

    RETURN_TYPES = ("CLIP",)
    FUNCTION = "set_last_layer"
    CATEGORY = "conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"clip": ("CLIP",), "stop_at_clip_layer": integer(-1, -24, -1, 1)}}

    def set_last_layer(self, clip: TextEncoder, stop_at_clip_layer: int) -> tuple[TextEncoder]:
        encoder: TextEncoder = present(clip, "CLIPSetLastLayer", _NO_TEXT_ENCODER)
        return (encoder.with_clip_skip(stop_at_clip_layer),)


def _conditioning(encoded: tuple[Tensor, Tensor | None], **options: float) -> Conditioning:
    """One entry of `encoded` = (tokens (1, T, D), pooled (1, P) or None) with `options`."""
    tokens, pooled = encoded
    return [[tokens, {"pooled_output": pooled, **options}]]


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "CLIPTextEncode": CLIPTextEncode,
    "CLIPTextEncodeSDXL": CLIPTextEncodeSDXL,
    "CLIPTextEncodeSDXLRefiner": CLIPTextEncodeSDXLRefiner,
    "CLIPSetLastLayer": CLIPSetLastLayer,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "CLIPTextEncode": "CLIP Text Encode (Prompt)",
    "CLIPSetLastLayer": "CLIP Set Last Layer",
}
