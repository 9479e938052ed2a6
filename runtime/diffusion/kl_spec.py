"""Every size of a variational autoencoder, from the names and shapes of its tensors."""

from __future__ import annotations

from dataclasses import dataclass

from runtime.diffusion.layers import GROUPS
from runtime.diffusion.shape_tree import Shapes, ShapeTree
from runtime.errors import ModelCorrupt


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


def kl_spec(shapes: Shapes) -> KLSpec:
    """The sizes of an autoencoder in a file of its own. Raises ModelCorrupt where a layer is amiss."""
    tree = ShapeTree(shapes)
    return KLSpec(
        encoder=_coder(tree, "encoder", "down", "downsample"),
        decoder=_coder(tree, "decoder", "up", "upsample"),
        quant=tree.weight("quant_conv.weight") if "quant_conv.weight" in tree else None,
        post_quant=tree.weight("post_quant_conv.weight") if "post_quant_conv.weight" in tree else None,
    )


def _coder(tree: ShapeTree, half: str, direction: str, resample: str) -> CoderSpec:
    channels_in, width = tree.weight(f"{half}.conv_in.weight")
    count = max(1, tree.count(f"{half}.{direction}"))
    stages = tuple(_stage(tree, f"{half}.{direction}.{index}", resample) for index in range(count))
    _check_flow(stages if direction == "down" else stages[::-1], width, half)
    return CoderSpec(
        channels_in=channels_in, width=width, stages=stages, channels_out=tree.weight(f"{half}.conv_out.weight")[1]
    )


def _check_flow(stages: tuple[StageSpec, ...], channels: int, path: str) -> None:
    """Every block, in the order in which they run, must read what stands before it gives."""
    for reads, gives in (block for stage in stages for block in stage.blocks):
        if reads != channels:
            raise ModelCorrupt(f"a block of {path} reads {reads} channels, but gets {channels}")
        channels = gives


def _stage(tree: ShapeTree, path: str, resample: str) -> StageSpec:
    blocks = range(max(1, tree.count(f"{path}.block")))
    return StageSpec(
        blocks=tuple(_channels(tree, f"{path}.block.{index}.conv1.weight") for index in blocks),
        is_resampled=f"{path}.{resample}.conv.weight" in tree,
    )


def _channels(tree: ShapeTree, name: str) -> tuple[int, int]:
    """(channels in, channels out) of a residual block, by its first convolution."""
    channels = tree.weight(name)
    if any(count % GROUPS for count in channels):
        raise ModelCorrupt(f"{name} has {channels} channels, expected multiples of {GROUPS}")
    return channels
