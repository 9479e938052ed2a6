"""Which family a checkpoint is of, and every size of its UNet, from the names and shapes of its tensors alone."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from runtime.diffusion.family import Family
from runtime.diffusion.unet_spec import (
    BlockSpec,
    ConvInSpec,
    DownSpec,
    LayerSpec,
    ResidualSpec,
    TransformerSpec,
    UNetSpec,
    UpSpec,
)
from runtime.errors import ModelCorrupt

Shapes = Mapping[str, tuple[int, ...]]

UNET_PREFIXES = ("model.diffusion_model.", "")
VAE_PREFIX = "first_stage_model."
TEXT_PREFIXES = ("cond_stage_model.", "conditioner.embedders.")

_FIRST = "input_blocks.0.0.weight"
_ADM = "label_emb.0.0.weight"
_LATENT_CHANNELS = 4
_INPAINT_CHANNELS = 9  # the noisy latent, a mask, the masked latent

# Names that tell what a file is that holds no UNet of ours: the first that matches a tensor's name.
_FOREIGN: tuple[tuple[str, str], ...] = (
    (r"double_blocks\.\d+\.", "a Flux or Hunyuan transformer"),
    (r"joint_blocks\.\d+\.", "a Stable Diffusion 3 transformer"),
    (r"(lora_unet_|lora_te\d?_|.*\.lora_(up|down|A|B)\.)", "a LoRA (it belongs in the folder loras)"),
    (r"(control_model\.|.*zero_convs\.|controlnet_)", "a ControlNet (it belongs in the folder controlnet)"),
    (r"(down_blocks|up_blocks|mid_block)\.", "a model in the diffusers layout, which has to be converted"),
    (r"(first_stage_model\.)?decoder\.", "a VAE (it belongs in the folder vae)"),
    (
        r"(text_model|transformer\.resblocks|encoder\.block)\.",
        "a text encoder (it belongs in the folder text_encoders)",
    ),
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
    prefix = next((prefix for prefix in UNET_PREFIXES if prefix + _FIRST in shapes), None)
    if prefix is None:
        raise ModelCorrupt(_foreign(shapes))
    unet = {name[len(prefix) :]: shape for name, shape in shapes.items() if name.startswith(prefix)}
    family = _family(unet)
    return CheckpointLayout(family=family, unet=_unet_spec(unet, family), unet_prefix=prefix)


def _foreign(shapes: Shapes) -> str:
    looks_like = next((what for pattern, what in _FOREIGN if any(re.match(pattern, name) for name in shapes)), None)
    found = f"it looks like {looks_like}" if looks_like else f"its {len(shapes)} tensors begin with {_some(shapes)}"
    return f"no checkpoint of a known family: expected the UNet's tensor {UNET_PREFIXES[0]}{_FIRST}, but {found}"


def _some(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)[:3]) or "nothing"


def _family(unet: Shapes) -> Family:
    """The family that this topology belongs to, whatever its widths."""
    _refuse_relatives(unet)
    is_inpaint = unet[_FIRST][1] == _INPAINT_CHANNELS
    if _ADM in unet:
        is_refiner = _transformer_depth(unet, f"input_blocks.{_count(unet, 'input_blocks') - 1}.1") == 0
        if is_refiner:
            return Family.SDXL_REFINER
        return Family.SDXL_INPAINT if is_inpaint else Family.SDXL
    is_linear = any(name.endswith(".1.proj_in.weight") and len(shape) == 2 for name, shape in unet.items())
    if is_linear:
        return Family.SD2_INPAINT if is_inpaint else Family.SD2
    return Family.SD1_INPAINT if is_inpaint else Family.SD1


def _refuse_relatives(unet: Shapes) -> None:
    """Raise ModelCorrupt for models of the same build that need what no family here has."""
    channels = unet[_FIRST][1]
    relative = None
    if any(".time_stack." in name or ".time_mix_blocks." in name for name in unet):
        relative = "a video model"
    elif _ADM in unet and _transformer_depth(unet, "input_blocks.1.1") > 0:
        relative = "an unCLIP model or another one that reads a vector at full resolution"
    elif channels not in (_LATENT_CHANNELS, _INPAINT_CHANNELS):
        relative = f"a model that reads {channels} channels, expected {_LATENT_CHANNELS} or {_INPAINT_CHANNELS}"
    if relative is not None:
        raise ModelCorrupt(f"no checkpoint of a known family: it looks like {relative}")


def _unet_spec(unet: Shapes, family: Family) -> UNetSpec:
    model_channels, in_channels = unet[_FIRST][:2]
    adm = unet.get(_ADM)
    return UNetSpec(
        in_channels=in_channels,
        out_channels=_shape(unet, "out.2.weight")[0],
        model_channels=model_channels,
        adm_channels=None if adm is None else adm[1],
        heads=family.facts.heads,
        head_channels=family.facts.head_channels,
        input_blocks=_blocks(unet, "input_blocks"),
        middle_block=_block(unet, "middle_block"),
        output_blocks=_blocks(unet, "output_blocks"),
    )


def _blocks(unet: Shapes, name: str) -> tuple[BlockSpec, ...]:
    return tuple(_block(unet, f"{name}.{index}") for index in range(_count(unet, name)))


def _block(unet: Shapes, path: str) -> BlockSpec:
    return tuple(_layer(unet, f"{path}.{index}") for index in range(_count(unet, path)))


def _layer(unet: Shapes, path: str) -> LayerSpec:
    """What stands at `path`, told by the tensor that only such a layer has."""
    if shape := unet.get(f"{path}.in_layers.2.weight"):
        return ResidualSpec(channels_in=shape[1], channels_out=shape[0])
    if shape := unet.get(f"{path}.proj_in.weight"):
        context = _shape(unet, f"{path}.transformer_blocks.0.attn2.to_k.weight")[1]
        return TransformerSpec(channels=shape[0], depth=_transformer_depth(unet, path), context_channels=context)
    if shape := unet.get(f"{path}.op.weight"):
        return DownSpec(channels=shape[0])
    if shape := unet.get(f"{path}.conv.weight"):
        return UpSpec(channels=shape[0])
    if shape := unet.get(f"{path}.weight"):
        return ConvInSpec(channels_in=shape[1], channels_out=shape[0])
    raise ModelCorrupt(f"the UNet's layer {path} is neither residual block, transformer, resampling nor convolution")


def _transformer_depth(unet: Shapes, path: str) -> int:
    return _count(unet, f"{path}.transformer_blocks")


def _count(unet: Shapes, path: str) -> int:
    """How many children `path.0`, `path.1`, ... there are without a gap."""
    depth = path.count(".") + 1
    indices = {name.split(".")[depth] for name in unet if name.startswith(path + ".")}
    return next(index for index in itertools.count() if str(index) not in indices)


def _shape(unet: Shapes, name: str) -> tuple[int, ...]:
    if name not in unet:
        raise ModelCorrupt(f"the checkpoint's UNet has no tensor {name}")
    return unet[name]
