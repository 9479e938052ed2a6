"""Which family a checkpoint is of, and every size of its UNet, from the names and shapes of its tensors alone."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from runtime.diffusion.family import Family
from runtime.diffusion.shape_tree import Shapes, ShapeTree
from runtime.diffusion.unet_shapes import ADM, FIRST, unet_spec
from runtime.diffusion.unet_spec import UNetSpec
from runtime.errors import ModelCorrupt

UNET_PREFIXES = ("model.diffusion_model.", "")
VAE_PREFIX = "first_stage_model."
TEXT_PREFIXES = ("cond_stage_model.", "conditioner.embedders.")

_LATENT_CHANNELS = 4
_INPAINT_CHANNELS = 9  # the noisy latent, a mask, the masked latent

_NO_FAMILY = "no checkpoint of a known family"

# What a file is that holds no UNet of ours: the first pattern that one of its names matches.
_FOREIGN: tuple[tuple[str, str], ...] = (
    (r"(.*\.)?double_blocks\.\d", "a Flux or Hunyuan transformer"),
    (r"(.*\.)?joint_blocks\.\d", "a Stable Diffusion 3 transformer"),
    (r"lora_unet_|lora_te\d?_|.*\.lora_(up|down|A|B)\b", "a LoRA, which belongs into the folder loras"),
    (r"control_model\.|controlnet_", "a ControlNet, which belongs into the folder controlnet"),
    (r"(down_blocks|up_blocks|mid_block)\.", "a UNet in the layout of diffusers, which has to be converted first"),
    (r"(first_stage_model\.)?decoder\.", "a VAE, which belongs into the folder vae"),
    (r"(.*\.)?(text_model|resblocks|encoder\.block)\.", "a text encoder, which belongs into text_encoders"),
)

# The same for UNets that need what no family here has.
_RELATIVES: tuple[tuple[str, str], ...] = (
    (r"zero_convs\.|input_hint_block\.", "a ControlNet, which belongs into the folder controlnet"),
    (r".*\.(time_stack|time_mix_blocks)\.", "a video model"),
)


@dataclass(frozen=True, kw_only=True)
class CheckpointLayout:
    """What a checkpoint is. `unet_prefix` stands before the UNet's names."""

    family: Family
    unet: UNetSpec
    unet_prefix: str


def detect(shapes: Shapes) -> CheckpointLayout:
    """The layout of the checkpoint whose tensors have these names and shapes.

    Raises ModelCorrupt where it is of no family that runs here, with what was looked for and what it looks like.
    """
    prefix = next((prefix for prefix in UNET_PREFIXES if prefix + FIRST in shapes), None)
    if prefix is None:
        found = _kind(shapes, _FOREIGN) or f"one of {len(shapes)} tensors such as {_some(shapes)}"
        raise ModelCorrupt(f"{_NO_FAMILY}: expected a tensor {UNET_PREFIXES[0]}{FIRST}, but it looks like {found}")
    tree = ShapeTree(shapes, prefix=prefix)
    family = _family(tree)
    return CheckpointLayout(family=family, unet=unet_spec(tree, family.facts), unet_prefix=prefix)


def _family(tree: ShapeTree) -> Family:
    return family_of(tree, is_inpaint=_reads_mask(tree))


def family_of(tree: ShapeTree, *, is_inpaint: bool) -> Family:
    """The family that this topology belongs to, whatever its widths; of a UNet or of the half that reads.

    Raises ModelCorrupt for one that reads a vector beside the text and is of none.
    """
    deepest = tree.count("input_blocks") - 1
    if ADM not in tree:
        if _has_linear_projections(tree):
            return Family.SD2_INPAINT if is_inpaint else Family.SD2
        return Family.SD1_INPAINT if is_inpaint else Family.SD1
    if _has_transformer(tree, 1):
        raise ModelCorrupt(
            f"{_NO_FAMILY}: it looks like an unCLIP model or another that reads a vector beside the text"
        )
    if not _has_transformer(tree, deepest):
        return Family.SDXL_REFINER
    return Family.SDXL_INPAINT if is_inpaint else Family.SDXL


def _reads_mask(tree: ShapeTree) -> bool:
    channels = tree.weight(FIRST)[0]
    if kind := _kind(tree, _RELATIVES):
        raise ModelCorrupt(f"{_NO_FAMILY}: it looks like {kind}")
    if channels not in (_LATENT_CHANNELS, _INPAINT_CHANNELS):
        expected = f"{_LATENT_CHANNELS} (or {_INPAINT_CHANNELS} with a mask)"
        raise ModelCorrupt(f"{_NO_FAMILY}: its UNet reads {channels} channels, expected {expected}")
    return channels == _INPAINT_CHANNELS


def _has_transformer(tree: ShapeTree, input_block: int) -> bool:
    return tree.count(f"input_blocks.{input_block}.1.transformer_blocks") > 0


def _has_linear_projections(tree: ShapeTree) -> bool:
    """Whether the transformers' outer layers are linear, as since SD 2, or 1x1 convolutions."""
    return any(name.endswith(".proj_in.weight") and tree.dimensions(name) == 2 for name in tree)


def _kind(names: Iterable[str], patterns: tuple[tuple[str, str], ...]) -> str | None:
    return next((kind for pattern, kind in patterns if any(re.match(pattern, name) for name in names)), None)


def _some(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:3]) or "none"
