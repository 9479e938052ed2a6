"""The families of latent diffusion checkpoints that run here, and what is known of each as data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType


class Family(Enum):
    """A family of checkpoints: one topology, one latent space, one layout of text encoders."""

    SD1 = "sd1"
    SD1_INPAINT = "sd1-inpaint"
    SD2 = "sd2"
    SD2_INPAINT = "sd2-inpaint"
    SDXL = "sdxl"
    SDXL_INPAINT = "sdxl-inpaint"
    SDXL_REFINER = "sdxl-refiner"

    @property
    def facts(self) -> FamilyFacts:
        return FAMILY_FACTS[self]


class TextLayout(Enum):
    """Which text encoders a family carries, and under which prefixes its checkpoints name them."""

    CLIP_L = "clip-l"  # cond_stage_model.transformer.text_model.
    OPENCLIP_H = "openclip-h"  # cond_stage_model.model.
    CLIP_L_OPENCLIP_G = (
        "clip-l+openclip-g"  # conditioner.embedders.0.transformer.text_model., conditioner.embedders.1.model.
    )
    OPENCLIP_G = "openclip-g"  # conditioner.embedders.0.model.


class AdmLayout(Enum):
    """What the vector `y` of a UNet holds behind the pooled text."""

    NONE = "none"
    SIZE_CROP_TARGET = "size-crop-target"  # six numbers: SDXL base
    SIZE_CROP_SCORE = "size-crop-score"  # five numbers: SDXL refiner


@dataclass(frozen=True, kw_only=True)
class FamilyFacts:
    """What every checkpoint of a family shares.

    `latent_scale` multiplies a latent on its way into the UNet. `heads` and `head_channels`: one of them is given,
    the number of attention heads at every level, or the channels of one head. `takes_concat`: the UNet reads a mask
    and a masked latent (1 + 4 channels) beside the noisy latent.
    """

    latent_scale: float
    text: TextLayout
    adm: AdmLayout = AdmLayout.NONE
    heads: int | None = None
    head_channels: int | None = None
    takes_concat: bool = False


FAMILY_FACTS: Mapping[Family, FamilyFacts] = MappingProxyType(
    {
        Family.SD1: FamilyFacts(latent_scale=0.18215, text=TextLayout.CLIP_L, heads=8),
        Family.SD1_INPAINT: FamilyFacts(latent_scale=0.18215, text=TextLayout.CLIP_L, heads=8, takes_concat=True),
        Family.SD2: FamilyFacts(latent_scale=0.18215, text=TextLayout.OPENCLIP_H, head_channels=64),
        Family.SD2_INPAINT: FamilyFacts(
            latent_scale=0.18215, text=TextLayout.OPENCLIP_H, head_channels=64, takes_concat=True
        ),
        Family.SDXL: FamilyFacts(
            latent_scale=0.13025,
            text=TextLayout.CLIP_L_OPENCLIP_G,
            adm=AdmLayout.SIZE_CROP_TARGET,
            head_channels=64,
        ),
        Family.SDXL_INPAINT: FamilyFacts(
            latent_scale=0.13025,
            text=TextLayout.CLIP_L_OPENCLIP_G,
            adm=AdmLayout.SIZE_CROP_TARGET,
            head_channels=64,
            takes_concat=True,
        ),
        Family.SDXL_REFINER: FamilyFacts(
            latent_scale=0.13025, text=TextLayout.OPENCLIP_G, adm=AdmLayout.SIZE_CROP_SCORE, head_channels=64
        ),
    }
)
