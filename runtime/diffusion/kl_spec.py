"""Every size of a variational autoencoder, from the names and shapes of its tensors."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from runtime.errors import ModelCorrupt

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True, kw_only=True)
class StageSpec:
    """The residual blocks (channels in, channels out) at one resolution, and whether the resolution changes behind."""

    blocks: tuple[tuple[int, int], ...]
    is_resampled: bool

    @property
    def channels(self) -> int:
        """What comes out of the last block."""
        return self.blocks[-1][1]


@dataclass(frozen=True, kw_only=True)
class CoderSpec:
    """One half: a convolution to `width` channels, the stages by their number in the file, one to `channels_out`."""

    channels_in: int
    width: int
    stages: tuple[StageSpec, ...]
    channels_out: int


@dataclass(frozen=True, kw_only=True)
class KLSpec:
    """Both halves, and the (channels in, channels out) of the 1x1 convolutions at the latent, where there are any."""

    encoder: CoderSpec
    decoder: CoderSpec
    quant: tuple[int, int] | None
    post_quant: tuple[int, int] | None

    @property
    def latent_channels(self) -> int:
        return self.post_quant[0] if self.post_quant else self.decoder.channels_in

    @property
    def downscale(self) -> int:
        """Pixels per place of the latent, along each axis."""
        return 1 << sum(stage.is_resampled for stage in self.encoder.stages)


def kl_spec(shapes: Shapes, *, prefix: str) -> KLSpec:
    """The sizes of the autoencoder under `prefix`. Raises ModelCorrupt naming the tensor that is missing."""
    return KLSpec(
        encoder=_coder(shapes, f"{prefix}encoder", "down", "downsample"),
        decoder=_coder(shapes, f"{prefix}decoder", "up", "upsample"),
        quant=_convolution(shapes, f"{prefix}quant_conv.weight"),
        post_quant=_convolution(shapes, f"{prefix}post_quant_conv.weight"),
    )


def _coder(shapes: Shapes, path: str, direction: str, resample: str) -> CoderSpec:
    width, channels_in = _shape(shapes, f"{path}.conv_in.weight")[:2]
    return CoderSpec(
        channels_in=channels_in,
        width=width,
        stages=tuple(_stages(shapes, f"{path}.{direction}", resample)),
        channels_out=_shape(shapes, f"{path}.conv_out.weight")[0],
    )


def _stages(shapes: Shapes, path: str, resample: str) -> Iterator[StageSpec]:
    _shape(shapes, f"{path}.0.block.0.conv1.weight")
    for index in itertools.count():
        blocks = tuple(_blocks(shapes, f"{path}.{index}.block"))
        if not blocks:
            return
        yield StageSpec(blocks=blocks, is_resampled=f"{path}.{index}.{resample}.conv.weight" in shapes)


def _blocks(shapes: Shapes, path: str) -> Iterator[tuple[int, int]]:
    for index in itertools.count():
        channels = _convolution(shapes, f"{path}.{index}.conv1.weight")
        if channels is None:
            return
        yield channels


def _convolution(shapes: Shapes, name: str) -> tuple[int, int] | None:
    """(channels in, channels out) of the weight `name`."""
    return (shapes[name][1], shapes[name][0]) if name in shapes else None


def _shape(shapes: Shapes, name: str) -> tuple[int, ...]:
    if name not in shapes:
        raise ModelCorrupt(f"no VAE: it has no tensor {name}")
    return shapes[name]
