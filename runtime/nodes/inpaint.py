"""Nodes that encode a picture of which a part is to be painted anew."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F

from runtime.nodes.conditioning import with_options
from runtime.nodes.inputs import Conditioning, InputTypes, Latent, flag, integer
from runtime.nodes.latent import PIXELS
from runtime.nodes.vae import autoencoder

if TYPE_CHECKING:
    from torch import Tensor

    from runtime.diffusion.vae import Autoencoder

_GREY = 0.5


class VAEEncodeForInpaint:
    """A picture encoded with grey where the mask is, and the mask, grown, as what is to be denoised."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "encode"
    CATEGORY = "latent/inpaint"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "pixels": ("IMAGE",),
                "vae": ("VAE",),
                "mask": ("MASK",),
                "grow_mask_by": integer(6, 0, 64, 1),
            }
        }

    def encode(self, pixels: Tensor, vae: Autoencoder | None, mask: Tensor, grow_mask_by: int = 6) -> tuple[Latent]:
        network = autoencoder(vae, "VAEEncodeForInpaint")
        picture, hole = _cut(pixels, mask)
        latent = network.encode(_greyed(picture, hole))
        return ({"samples": latent, "noise_mask": _grown(hole, grow_mask_by)},)


class InpaintModelConditioning:
    """What an inpainting model is told: the mask, and the picture encoded with grey where the mask is."""

    RETURN_TYPES = ("CONDITIONING", "CONDITIONING", "LATENT")
    RETURN_NAMES = ("positive", "negative", "latent")
    FUNCTION = "encode"
    CATEGORY = "conditioning/inpaint"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "positive": ("CONDITIONING",),
                "negative": ("CONDITIONING",),
                "vae": ("VAE",),
                "pixels": ("IMAGE",),
                "mask": ("MASK",),
                "noise_mask": flag(True),
            }
        }

    def encode(
        self,
        positive: Conditioning,
        negative: Conditioning,
        vae: Autoencoder | None,
        pixels: Tensor,
        mask: Tensor,
        noise_mask: bool = True,
    ) -> tuple[Conditioning, Conditioning, Latent]:
        network = autoencoder(vae, "InpaintModelConditioning")
        picture, hole = _cut(pixels, mask)
        told = {"concat_latent_image": network.encode(_greyed(picture, hole)), "concat_mask": hole}
        latent: Latent = {"samples": network.encode(pixels)}
        if noise_mask:
            latent["noise_mask"] = hole
        return with_options(positive, **told), with_options(negative, **told), latent


def _cut(pixels: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """`pixels` (B, H, W, C), and `mask` at their size (b, 1, H, W), both cut in the middle to multiples of 8."""
    height, width = pixels.shape[1:3]
    hole = F.interpolate(mask.reshape(-1, 1, *mask.shape[-2:]), size=(height, width), mode="bilinear")
    rows, columns = _middle(height), _middle(width)
    return pixels[:, rows, columns], hole[:, :, rows, columns]


def _middle(length: int) -> slice:
    spare = length % PIXELS
    return slice(spare // 2, spare // 2 + length - spare)


def _greyed(pixels: Tensor, hole: Tensor) -> Tensor:
    """`pixels` (B, H, W, C), as (B, H, W, 3) with grey where `hole` (b, 1, H, W) rounds to 1."""
    kept = 1.0 - hole.round().movedim(1, -1)
    return (pixels[..., :3] - _GREY) * kept + _GREY


def _grown(hole: Tensor, pixels: int) -> Tensor:
    """`hole` (B, 1, H, W), rounded, grown by a square of `pixels` a side, so that its edge blends in latent space."""
    if pixels == 0:
        return hole.round()
    grown = F.max_pool2d(hole.round().clamp(0, 1), pixels, stride=1, padding=pixels // 2)
    return grown[..., : hole.shape[-2], : hole.shape[-1]]


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "VAEEncodeForInpaint": VAEEncodeForInpaint,
    "InpaintModelConditioning": InpaintModelConditioning,
}
NODE_DISPLAY_NAME_MAPPINGS = {"VAEEncodeForInpaint": "VAE Encode (for Inpainting)"}
