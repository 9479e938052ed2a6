"""The UNet that predicts a latent's noise.

Denoising diffusion probabilistic models (Ho et al. 2020, arXiv:2006.11239), with the residual blocks of BigGAN
(Dhariwal and Nichol 2021, arXiv:2105.05233) and transformers over the prompt (Rombach et al. 2022, arXiv:2112.10752).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.diffusion.attention import Transformer
from runtime.diffusion.embedding import sinusoids
from runtime.diffusion.layers import Conv2d, Given, GroupNorm, Linear, assign_weights
from runtime.diffusion.unet_spec import (
    ConvInSpec,
    DownSpec,
    LayerSpec,
    ResidualSpec,
    TransformerSpec,
    UNetSpec,
    UpSpec,
)

# What checkpoints call the parts of a layer that have names of their own here.
_FILE_NAMES: Mapping[str, str] = {
    "enter_norm": "in_layers.0",
    "enter_conv": "in_layers.2",
    "time_shift": "emb_layers.1",
    "leave_norm": "out_layers.0",
    "leave_conv": "out_layers.3",
    "skip": "skip_connection",
    "to_out": "to_out.0",
    "widen": "net.0.proj",
    "narrow": "net.2",
    "time_in": "time_embed.0",
    "time_out": "time_embed.2",
    "adm_in": "label_emb.0.0",
    "adm_out": "label_emb.0.2",
    "out_norm": "out.0",
    "out_conv": "out.2",
}


def file_name(parameter: str) -> str:
    """The name that checkpoints give a parameter of `UNet`, without the prefix of the whole UNet."""
    return ".".join(_FILE_NAMES.get(part, part) for part in parameter.split("."))


class ConvIn(Conv2d):
    """The first convolution."""

    def __init__(self, spec: ConvInSpec) -> None:
        super().__init__(spec.channels_in, spec.channels_out, 3, padding=1)

    def forward(self, x: Tensor, given: Given) -> Tensor:  # type: ignore[override]  # the UNet's layers take `given`
        return super().forward(x)


class Residual(nn.Module):
    """Two normalised convolutions, the timestep's shift between them, added to their input."""

    def __init__(self, spec: ResidualSpec, *, time_channels: int) -> None:
        super().__init__()
        self.enter_norm = GroupNorm(spec.channels_in, eps=1e-5)
        self.enter_conv = Conv2d(spec.channels_in, spec.channels_out, 3, padding=1)
        self.time_shift = Linear(time_channels, spec.channels_out)
        self.leave_norm = GroupNorm(spec.channels_out, eps=1e-5)
        self.leave_conv = Conv2d(spec.channels_out, spec.channels_out, 3, padding=1)
        is_same = spec.channels_in == spec.channels_out
        self.skip = None if is_same else Conv2d(spec.channels_in, spec.channels_out, 1)

    def forward(self, x: Tensor, given: Given) -> Tensor:
        h = self.enter_conv(F.silu(self.enter_norm(x), inplace=True))
        h += self.time_shift(given.time)[:, :, None, None]
        h = self.leave_conv(F.silu(self.leave_norm(h), inplace=True))
        return h.add_(x if self.skip is None else self.skip(x))


class Down(nn.Module):
    """Half the resolution."""

    def __init__(self, spec: DownSpec) -> None:
        super().__init__()
        self.op = Conv2d(spec.channels, spec.channels, 3, stride=2, padding=1)

    def forward(self, x: Tensor, given: Given) -> Tensor:
        return self.op(x)


class Up(nn.Module):
    """The resolution of the next skip: double, or one less where that is odd."""

    def __init__(self, spec: UpSpec) -> None:
        super().__init__()
        self.conv = Conv2d(spec.channels, spec.channels, 3, padding=1)

    def forward(self, x: Tensor, given: Given) -> Tensor:
        return self.conv(F.interpolate(x, size=given.size, mode="nearest"))


@dataclass(frozen=True, kw_only=True)
class Residuals:
    """What a control adds to a UNet by input block, behind it and where an output block reads it; None for nothing."""

    behind: Sequence[Tensor | None] = ()
    skips: Sequence[Tensor | None] = ()
    middle: Tensor | None = None


class Encoder(nn.Module):
    """The half of a UNet that reads: the timestep, the input blocks and the middle block of `spec`."""

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__()
        self.spec = spec
        channels, time_channels = spec.model_channels, 4 * spec.model_channels
        self.time_in = Linear(channels, time_channels)
        self.time_out = Linear(time_channels, time_channels)
        self.adm_in = None if spec.adm_channels is None else Linear(spec.adm_channels, time_channels)
        self.adm_out = None if spec.adm_channels is None else Linear(time_channels, time_channels)
        self.input_blocks = nn.ModuleList(_layers(block, spec) for block in spec.input_blocks)
        self.middle_block = _layers(spec.middle_block, spec)

    def time(self, timestep: Tensor, y: Tensor | None, dtype: torch.dtype, *, more: Tensor | None = None) -> Tensor:
        """(B, E): the timestep, `more` and the vector `y` where there is one, behind every block's activation."""
        time = sinusoids(timestep, self.spec.model_channels).to(dtype)
        time = self.time_out(F.silu(self.time_in(time)))
        if more is not None:
            time = time + more
        if self.adm_in is not None and self.adm_out is not None:
            time = time + self.adm_out(F.silu(self.adm_in(y)))
        return F.silu(time)


class UNet(Encoder):
    """A UNet of the sizes in `spec`; built without weights, filled by `assign`."""

    def __init__(self, spec: UNetSpec) -> None:
        super().__init__(spec)
        self.output_blocks = nn.ModuleList(_layers(block, spec) for block in spec.output_blocks)
        self.out_norm = GroupNorm(spec.model_channels, eps=1e-5)
        self.out_conv = Conv2d(spec.model_channels, spec.out_channels, 3, padding=1)

    @classmethod
    def from_tensors(cls, spec: UNetSpec, tensors: Mapping[str, Tensor], *, prefix: str) -> UNet:
        """A UNet whose weights are `tensors`, named as in the checkpoint. Raises ModelCorrupt naming what is amiss."""
        unet = cls(spec)
        assign_weights(unet, tensors, file_name=lambda parameter: prefix + file_name(parameter))
        return unet.eval()

    def forward(
        self,
        x: Tensor,
        timestep: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        control: Residuals | None = None,
    ) -> Tensor:
        """The output (B, out_channels, h, w) at `x` (B, in_channels, h, w).

        `timestep` is (B,), `context` (B, T, D), `y` (B, adm_channels) where the UNet reads one.
        """
        control = control or _UNCONTROLLED
        given = Given(time=self.time(timestep, y, x.dtype), context=context, size=size_of(x))
        skips = []
        for index, block in enumerate(self.input_blocks):
            x = _controlled(through(block, x, given), control.behind, index)
            skips.append(x)
        x = _controlled(through(self.middle_block, x, given), (control.middle,), 0)
        for block in self.output_blocks:
            skip = skips.pop()
            x = torch.cat((x, _controlled(skip, control.skips, len(skips))), dim=1)
            x = through(block, x, given._replace(size=size_of(skips[-1])) if skips else given)
        return self.out_conv(F.silu(self.out_norm(x), inplace=True))


_UNCONTROLLED = Residuals()


def _controlled(x: Tensor, residuals: Sequence[Tensor | None], index: int) -> Tensor:
    """`x` with what a control adds at `index`."""
    residual = residuals[index] if index < len(residuals) else None
    return x if residual is None else x + residual.to(x)


def _layers(block: Iterable[LayerSpec], spec: UNetSpec) -> nn.ModuleList:
    return nn.ModuleList(_layer(layer, spec) for layer in block)


def _layer(layer: LayerSpec, spec: UNetSpec) -> nn.Module:
    match layer:
        case ConvInSpec():
            return ConvIn(layer)
        case ResidualSpec():
            return Residual(layer, time_channels=4 * spec.model_channels)
        case TransformerSpec():
            return Transformer(
                channels=layer.channels,
                depth=layer.depth,
                context_channels=layer.context_channels,
                heads=spec.heads_of(layer.channels),
            )
        case DownSpec():
            return Down(layer)
        case UpSpec():
            return Up(layer)


def through(layers: nn.Module, x: Tensor, given: Given) -> Tensor:
    """`x` behind the layers of a block."""
    for layer in cast(Iterable[nn.Module], layers):
        x = layer(x, given)
    return x


def size_of(x: Tensor) -> tuple[int, int]:
    """(height, width)."""
    return x.shape[-2], x.shape[-1]
