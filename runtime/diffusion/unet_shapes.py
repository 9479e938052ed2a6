"""Every size of a UNet, read from the shapes of its weights and checked to fit together."""

from __future__ import annotations

from dataclasses import replace

from runtime.diffusion.family import FamilyFacts
from runtime.diffusion.layers import GROUPS
from runtime.diffusion.shape_tree import ShapeTree
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

FIRST = "input_blocks.0.0.weight"
ADM = "label_emb.0.0.weight"


def unet_spec(tree: ShapeTree, facts: FamilyFacts) -> UNetSpec:
    """The sizes of the UNet in `tree`. Raises ModelCorrupt where a layer is missing or they do not fit together."""
    encoder = encoder_spec(tree, facts)
    spec = replace(encoder, out_channels=tree.weight("out.2.weight")[1], output_blocks=_blocks(tree, "output_blocks"))
    _check_outputs(spec)
    return spec


def encoder_spec(tree: ShapeTree, facts: FamilyFacts) -> UNetSpec:
    """The same of the half that reads: without output blocks, and of no output channels."""
    in_channels, model_channels = tree.weight(FIRST)
    spec = UNetSpec(
        in_channels=in_channels,
        out_channels=0,
        model_channels=model_channels,
        adm_channels=tree.weight(ADM)[0] if ADM in tree else None,
        heads=facts.heads,
        head_channels=facts.head_channels,
        input_blocks=_blocks(tree, "input_blocks"),
        middle_block=_block(tree, "middle_block"),
        output_blocks=(),
    )
    channels = skip_channels(spec)[-1]
    _flow(spec, spec.middle_block, channels, "middle_block")
    return spec


def _blocks(tree: ShapeTree, path: str) -> tuple[BlockSpec, ...]:
    return tuple(_block(tree, f"{path}.{index}") for index in range(tree.count(path)))


def _block(tree: ShapeTree, path: str) -> BlockSpec:
    return tuple(_layer(tree, f"{path}.{index}") for index in range(tree.count(path)))


def _layer(tree: ShapeTree, path: str) -> LayerSpec:
    """What stands at `path`, told by the tensor that only such a layer has."""
    if f"{path}.in_layers.2.weight" in tree:
        channels_in, channels_out = tree.weight(f"{path}.in_layers.2.weight")
        return ResidualSpec(channels_in=channels_in, channels_out=channels_out)
    if f"{path}.proj_in.weight" in tree:
        return TransformerSpec(
            channels=tree.weight(f"{path}.proj_in.weight")[1],
            depth=tree.count(f"{path}.transformer_blocks"),
            context_channels=tree.weight(f"{path}.transformer_blocks.0.attn2.to_k.weight")[0],
        )
    if f"{path}.op.weight" in tree:
        return DownSpec(channels=tree.weight(f"{path}.op.weight")[1])
    if f"{path}.conv.weight" in tree:
        return UpSpec(channels=tree.weight(f"{path}.conv.weight")[1])
    channels_in, channels_out = tree.weight(f"{path}.weight")
    return ConvInSpec(channels_in=channels_in, channels_out=channels_out)


def skip_channels(spec: UNetSpec) -> list[int]:
    """The channels behind each input block. Raises ModelCorrupt where one does not read what stands before it."""
    channels, skips = spec.in_channels, []
    for index, block in enumerate(spec.input_blocks):
        channels = _flow(spec, block, channels, f"input_blocks.{index}")
        skips.append(channels)
    return skips


def _check_outputs(spec: UNetSpec) -> None:
    """Every output block must read what stands before it gives, and a skip beside it."""
    skips = skip_channels(spec)
    channels = _flow(spec, spec.middle_block, skips[-1], "middle_block")
    if len(skips) != len(spec.output_blocks):
        raise ModelCorrupt(f"the UNet has {len(skips)} input blocks, but {len(spec.output_blocks)} output blocks")
    for index, block in enumerate(spec.output_blocks):
        channels = _flow(spec, block, channels + skips.pop(), f"output_blocks.{index}")
    if channels != spec.model_channels:
        raise ModelCorrupt(f"the UNet ends with {channels} channels, expected {spec.model_channels}")


def _flow(spec: UNetSpec, block: BlockSpec, channels: int, path: str) -> int:
    """The channels that come out of `block` when `channels` go in."""
    for index, layer in enumerate(block):
        if layer.channels_in != channels:
            raise ModelCorrupt(
                f"the UNet's layer {path}.{index} reads {layer.channels_in} channels, but gets {channels}"
            )
        channels = layer.channels_out
        unit = spec.head_unit if isinstance(layer, TransformerSpec) else GROUPS
        if channels % unit or channels % GROUPS:
            raise ModelCorrupt(
                f"the UNet's layer {path}.{index} has {channels} channels, expected a multiple of {unit}"
            )
    return channels
