"""The three networks at the sizes of the demo checkpoint: the very modules that a worker runs, with fresh weights."""

from __future__ import annotations

import math
from typing import TypeVar

import torch
from torch import nn

from runtime.diffusion.clip import ClipSize, ClipText, Embedding, quick_gelu
from runtime.diffusion.kl import KL
from runtime.diffusion.kl_spec import CoderSpec, KLSpec, StageSpec
from runtime.diffusion.unet import UNet
from runtime.diffusion.unet_spec import (
    BlockSpec,
    ConvInSpec,
    DownSpec,
    ResidualSpec,
    TransformerSpec,
    UNetSpec,
    UpSpec,
)

LATENT_CHANNELS = 4
TEXT_WIDTH = 128

# A group norm over 32 groups sees each channel alone where there are 32 of them, and takes a flat colour away. So
# the layers that end in one without a way around it are wider: the decoder's last stage and the whole UNet.
_UNET_WIDTHS = (64, 96, 128)  # at 16x16, 8x8 and 4x4 places of a 128x128 picture


def autoencoder(generator: torch.Generator) -> KL:
    """A VAE of factor 8 with one residual block at each resolution."""
    spec = KLSpec(
        encoder=CoderSpec(
            channels_in=3,
            width=32,
            stages=_stages(((32, 32), (32, 32), (32, 64), (64, 128)), resampled_from=0),
            channels_out=2 * LATENT_CHANNELS,
        ),
        decoder=CoderSpec(
            channels_in=LATENT_CHANNELS,
            width=128,
            stages=_stages(((32, 64), (64, 32), (128, 64), (128, 128)), resampled_from=1),
            channels_out=3,
        ),
        quant=(2 * LATENT_CHANNELS, 2 * LATENT_CHANNELS),
        post_quant=(LATENT_CHANNELS, LATENT_CHANNELS),
    )
    return _with_weights(KL(spec), generator)


def text_transformer(generator: torch.Generator, *, tokens: int) -> ClipText:
    """A CLIP text transformer that knows `tokens` tokens."""
    size = ClipSize(tokens=tokens, width=TEXT_WIDTH, depth=2, inner=2 * TEXT_WIDTH)
    return _with_weights(ClipText(size, quick_gelu), generator)


def unet(generator: torch.Generator) -> UNet:
    """A UNet of SD 1.x's topology, with three levels and one residual block and transformer a level."""
    return _with_weights(UNet(_unet_spec(_UNET_WIDTHS)), generator)


def _stages(blocks: tuple[tuple[int, int], ...], *, resampled_from: int) -> tuple[StageSpec, ...]:
    """One block a stage; three of the four stages change the resolution: 0 to 2 of an encoder, 1 to 3 of a decoder."""
    return tuple(
        StageSpec(blocks=(channels,), is_resampled=resampled_from <= index < resampled_from + 3)
        for index, channels in enumerate(blocks)
    )


def _unet_spec(widths: tuple[int, ...]) -> UNetSpec:
    first = widths[0]
    inputs: list[BlockSpec] = [(ConvInSpec(channels_in=LATENT_CHANNELS, channels_out=first),)]
    skips = [first]
    channels = first
    for level, width in enumerate(widths):
        if level > 0:
            inputs.append((DownSpec(channels=channels),))
            skips.append(channels)
        inputs.append(_places(channels, width, level))
        skips.append(channels := width)
    outputs: list[BlockSpec] = []
    for level, width in reversed(list(enumerate(widths))):
        for place in range(2):
            block = _places(channels + skips.pop(), width, level)
            outputs.append((*block, UpSpec(channels=width)) if level > 0 and place == 1 else block)
            channels = width
    return UNetSpec(
        in_channels=LATENT_CHANNELS,
        out_channels=LATENT_CHANNELS,
        model_channels=first,
        adm_channels=None,
        heads=8,
        head_channels=None,
        input_blocks=tuple(inputs),
        middle_block=(_residual(widths[-1]), _transformer(widths[-1]), _residual(widths[-1])),
        output_blocks=tuple(outputs),
    )


def _places(channels_in: int, width: int, level: int) -> BlockSpec:
    """A residual block, and a transformer but at the first level, where it would cost more than all the rest."""
    residual = ResidualSpec(channels_in=channels_in, channels_out=width)
    return (residual, _transformer(width)) if level > 0 else (residual,)


def _residual(width: int) -> ResidualSpec:
    return ResidualSpec(channels_in=width, channels_out=width)


def _transformer(width: int) -> TransformerSpec:
    return TransformerSpec(channels=width, depth=1, context_channels=TEXT_WIDTH)


# Layers that start at zero, so that every residual block starts as the identity.
_STARTS_AT_ZERO = ("leave_conv", "proj_out", "out_conv", "out_proj", "fc2", "attn2.to_out", "narrow")

NetworkT = TypeVar("NetworkT", KL, ClipText, UNet)


def _with_weights(network: NetworkT, generator: torch.Generator) -> NetworkT:
    network.to_empty(device="cpu")
    for name, module in network.named_modules():
        for leaf, parameter in module.named_parameters(recurse=False):
            parameter.requires_grad_(True)
            _draw(name, module, leaf, parameter, generator)
    return network.train()


@torch.no_grad()
def _draw(name: str, module: nn.Module, leaf: str, parameter: nn.Parameter, generator: torch.Generator) -> None:
    if isinstance(module, Embedding):
        parameter.normal_(0.0, 0.2 if "token" in name else 0.1, generator=generator)
    elif isinstance(module, nn.GroupNorm | nn.LayerNorm):
        parameter.fill_(1.0 if leaf == "weight" else 0.0)
    elif leaf == "bias" or name.endswith(_STARTS_AT_ZERO):
        parameter.zero_()
    else:
        parameter.normal_(0.0, 1.0 / math.sqrt(math.prod(parameter.shape[1:])), generator=generator)
