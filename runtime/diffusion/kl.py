"""The variational autoencoder between pixels and latents: its two halves and their sizes.

Auto-encoding variational Bayes (Kingma and Welling 2013, arXiv:1312.6114), in the convolutional form of
high-resolution image synthesis with latent diffusion models (Rombach et al. 2022, arXiv:2112.10752), appendix G.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import cast

import torch.nn.functional as F
from torch import Tensor, nn

from runtime.diffusion.kl_spec import CoderSpec, KLSpec, StageSpec
from runtime.diffusion.layers import Conv2d, GroupNorm, Linear, assign_weights

# What checkpoints call the parts that have names of their own here.
_FILE_NAMES: Mapping[str, str] = {
    "enter_norm": "norm1",
    "enter_conv": "conv1",
    "leave_norm": "norm2",
    "leave_conv": "conv2",
    "skip": "nin_shortcut",
    "downsample": "downsample.conv",
    "upsample": "upsample.conv",
}
_EPS = 1e-6


def file_name(parameter: str) -> str:
    """The name that checkpoints give a parameter of `KL`, without the prefix of the whole autoencoder."""
    return ".".join(_FILE_NAMES.get(part, part) for part in parameter.split("."))


class Residual(nn.Module):
    """Two normalised convolutions added to their input."""

    __call__: Callable[..., Tensor]

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.enter_norm = GroupNorm(channels_in, eps=_EPS)
        self.enter_conv = Conv2d(channels_in, channels_out, 3, padding=1)
        self.leave_norm = GroupNorm(channels_out, eps=_EPS)
        self.leave_conv = Conv2d(channels_out, channels_out, 3, padding=1)
        self.skip = None if channels_in == channels_out else Conv2d(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        h = self.enter_conv(F.silu(self.enter_norm(x), inplace=True))
        h = self.leave_conv(F.silu(self.leave_norm(h), inplace=True))
        return h.add_(x if self.skip is None else self.skip(x))


class Attention(nn.Module):
    """Attention of every place to every other, in one head, added to its input (B, C, h, w)."""

    __call__: Callable[..., Tensor]

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = GroupNorm(channels, eps=_EPS)
        self.q = Linear(channels, channels)
        self.k = Linear(channels, channels)
        self.v = Linear(channels, channels)
        self.proj_out = Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        places = self.norm(x).flatten(2).transpose(1, 2)[:, None]  # (B, 1, hw, C)
        mixed = F.scaled_dot_product_attention(self.q(places), self.k(places), self.v(places))
        return self.proj_out(mixed).transpose(2, 3).view_as(x).add_(x)


class Middle(nn.Module):
    """A residual block, attention, a residual block, at the lowest resolution."""

    __call__: Callable[..., Tensor]

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.block_1 = Residual(channels, channels)
        self.attn_1 = Attention(channels)
        self.block_2 = Residual(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        return self.block_2(self.attn_1(self.block_1(x)))


class DownStage(nn.Module):
    """The blocks at one resolution of the encoder, then half of it."""

    def __init__(self, spec: StageSpec) -> None:
        super().__init__()
        self.block = nn.ModuleList(Residual(*channels) for channels in spec.blocks)
        self.downsample = Conv2d(spec.channels, spec.channels, 3, stride=2) if spec.is_resampled else None

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        if self.downsample is None:
            return x
        return self.downsample(F.pad(x, (0, 1, 0, 1)))  # one column and row, at the right and below


class UpStage(nn.Module):
    """The blocks at one resolution of the decoder, then double of it."""

    def __init__(self, spec: StageSpec) -> None:
        super().__init__()
        self.block = nn.ModuleList(Residual(*channels) for channels in spec.blocks)
        self.upsample = Conv2d(spec.channels, spec.channels, 3, padding=1) if spec.is_resampled else None

    def forward(self, x: Tensor) -> Tensor:
        for block in self.block:
            x = block(x)
        if self.upsample is None:
            return x
        return self.upsample(F.interpolate(x, scale_factor=2.0, mode="nearest"))


class Encoder(nn.Module):
    """Pixels (B, 3, 8 h, 8 w) in -1..1 to the moments of the latent's distribution (B, 2 * latent channels, h, w)."""

    __call__: Callable[..., Tensor]

    def __init__(self, spec: CoderSpec) -> None:
        super().__init__()
        deepest = spec.stages[-1].channels
        self.conv_in = Conv2d(spec.channels_in, spec.width, 3, padding=1)
        self.down = nn.ModuleList(DownStage(stage) for stage in spec.stages)
        self.mid = Middle(deepest)
        self.norm_out = GroupNorm(deepest, eps=_EPS)
        self.conv_out = Conv2d(deepest, spec.channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv_in(x)
        for stage in self.down:
            x = stage(x)
        return self.conv_out(F.silu(self.norm_out(self.mid(x)), inplace=True))


class Decoder(nn.Module):
    """Latents (B, latent channels, h, w) to pixels (B, 3, 8 h, 8 w) in about -1..1."""

    __call__: Callable[..., Tensor]

    def __init__(self, spec: CoderSpec) -> None:
        super().__init__()
        shallowest = spec.stages[0].channels
        self.conv_in = Conv2d(spec.channels_in, spec.width, 3, padding=1)
        self.mid = Middle(spec.width)
        self.up = nn.ModuleList(UpStage(stage) for stage in spec.stages)
        self.norm_out = GroupNorm(shallowest, eps=_EPS)
        self.conv_out = Conv2d(shallowest, spec.channels_out, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.mid(self.conv_in(x))
        for stage in reversed(cast(Sequence[nn.Module], self.up)):
            x = stage(x)
        return self.conv_out(F.silu(self.norm_out(x), inplace=True))


class KL(nn.Module):
    """Encoder and decoder, with the 1x1 convolutions that older checkpoints have on the latent's side of both."""

    def __init__(self, spec: KLSpec) -> None:
        super().__init__()
        self.spec = spec
        self.encoder = Encoder(spec.encoder)
        self.decoder = Decoder(spec.decoder)
        self.quant_conv = Conv2d(*spec.quant, 1) if spec.quant else None
        self.post_quant_conv = Conv2d(*spec.post_quant, 1) if spec.post_quant else None

    @classmethod
    def from_tensors(cls, spec: KLSpec, tensors: Mapping[str, Tensor]) -> KL:
        """A KL whose weights are `tensors`, named as in a file of its own. Raises ModelCorrupt naming what is amiss."""
        module = cls(spec)
        assign_weights(module, tensors, file_name=file_name)
        return module.eval()

    def encode(self, pixels: Tensor) -> Tensor:
        """The mean of the latent's distribution, (B, latent channels, h, w)."""
        moments = self.encoder(pixels)
        if self.quant_conv is not None:
            moments = self.quant_conv(moments)
        return moments.chunk(2, dim=1)[0]

    def decode(self, latent: Tensor) -> Tensor:
        """The pixels (B, 3, H, W) of a latent."""
        return self.decoder(latent if self.post_quant_conv is None else self.post_quant_conv(latent))
