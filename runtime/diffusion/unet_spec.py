"""Every size of a UNet, as data: what stands at each of its places."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ConvInSpec:
    """The first convolution."""

    channels_in: int
    channels_out: int


@dataclass(frozen=True, kw_only=True)
class ResidualSpec:
    """A residual block that the timestep steers."""

    channels_in: int
    channels_out: int


@dataclass(frozen=True, kw_only=True)
class _Same:
    """A layer that keeps its channels."""

    channels: int

    @property
    def channels_in(self) -> int:
        return self.channels

    @property
    def channels_out(self) -> int:
        return self.channels


@dataclass(frozen=True, kw_only=True)
class TransformerSpec(_Same):
    """A transformer of `depth` blocks over a context of `context_channels`."""

    depth: int
    context_channels: int


@dataclass(frozen=True, kw_only=True)
class DownSpec(_Same):
    """A convolution that halves the resolution."""


@dataclass(frozen=True, kw_only=True)
class UpSpec(_Same):
    """A doubling of the resolution and a convolution."""


LayerSpec = ConvInSpec | ResidualSpec | TransformerSpec | DownSpec | UpSpec
BlockSpec = tuple[LayerSpec, ...]


@dataclass(frozen=True, kw_only=True)
class UNetSpec:
    """A UNet: the outputs of `input_blocks` are read again, last first, by `output_blocks`.

    `adm_channels` is the width of the vector `y`, None where the UNet reads none. A transformer has `heads` heads or,
    where that is None, one for each `head_channels` of its channels.
    """

    in_channels: int
    out_channels: int
    model_channels: int
    adm_channels: int | None
    heads: int | None
    head_channels: int | None
    input_blocks: tuple[BlockSpec, ...]
    middle_block: BlockSpec
    output_blocks: tuple[BlockSpec, ...]

    @property
    def head_unit(self) -> int:
        """What the channels of a transformer are a multiple of."""
        return self.heads or self.head_channels or 1

    @property
    def context_channels(self) -> int | None:
        """The width of the context that the transformers read; None where there is none."""
        layers = [layer for block in (*self.input_blocks, self.middle_block) for layer in block]
        return next((layer.context_channels for layer in layers if isinstance(layer, TransformerSpec)), None)

    def heads_of(self, channels: int) -> int:
        return self.heads or channels // (self.head_channels or channels)
