"""A ControlNet: a copy of a UNet's reading half that sees a picture, and adds what it makes of it to the UNet.

Adding conditional control to text-to-image diffusion models (Zhang et al. 2023, arXiv:2302.05543). A union of several
controls in one network is told which of them its picture is (source: github.com/xinsir6/ControlNetPlus).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from runtime.diffusion.detect import family_of
from runtime.diffusion.embedding import sinusoids
from runtime.diffusion.family import Family
from runtime.diffusion.layers import Conv2d, Given, LayerNorm, Linear, assign_weights
from runtime.diffusion.shape_tree import ShapeTree
from runtime.diffusion.unet import Encoder, Residuals, file_name, size_of, through
from runtime.diffusion.unet_shapes import encoder_spec, skip_channels
from runtime.diffusion.unet_spec import UNetSpec
from runtime.errors import ModelCorrupt

_LATENT_CHANNELS = 4
_UNION_HEADS = 8
_TYPE_CHANNELS = 256  # the sinusoids of one kind of control

# What files call the parts that have names of their own here.
_FILE_NAMES: Mapping[str, str] = {
    "hint": "input_hint_block",
    "outs": "zero_convs",
    "middle_out": "middle_block_out.0",
    "type_in": "control_add_embedding.linear_1",
    "type_out": "control_add_embedding.linear_2",
    "type_shift": "task_embedding",
    "mixer": "transformer_layes.0",  # as its authors spell it
    "shift_out": "spatial_ch_projs",
}


@dataclass(frozen=True, kw_only=True)
class ControlSpec:
    """The sizes of a ControlNet. `hint_channels` are those between the convolutions over the picture.

    `kinds` is how many kinds of control a union knows, 0 for a network of one; `mixed_channels` is the width of the
    union's transformer.
    """

    family: Family
    encoder: UNetSpec
    hint_channels: tuple[int, ...]
    kinds: int = 0
    mixed_channels: int = 0

    @property
    def picture_channels(self) -> int:
        return self.hint_channels[0]


def control_spec(tree: ShapeTree) -> ControlSpec:
    """The sizes of the ControlNet in `tree`, named as by the first implementation.

    Raises ModelCorrupt where it is none, or its parts do not fit together.
    """
    if "zero_convs.0.0.weight" not in tree or "input_hint_block.0.weight" not in tree:
        some = ", ".join(sorted(tree)[:3]) or "none"
        raise ModelCorrupt(f"no ControlNet of a known form: expected a tensor zero_convs.0.0.weight, but it has {some}")
    family = family_of(tree, is_inpaint=False)
    encoder = encoder_spec(tree, family.facts)
    if encoder.in_channels != _LATENT_CHANNELS:
        raise ModelCorrupt(f"a ControlNet that reads {encoder.in_channels} channels of a latent, expected 4")
    kinds, width = tree.weight("task_embedding")[::-1] if "task_embedding" in tree else (0, 0)
    spec = ControlSpec(
        family=family, encoder=encoder, hint_channels=_hint_channels(tree), kinds=kinds, mixed_channels=width
    )
    if spec.hint_channels[-1] != encoder.model_channels or (kinds and width != encoder.model_channels):
        raise ModelCorrupt(
            f"a ControlNet that makes {spec.hint_channels[-1]} channels of its picture, "
            f"expected {encoder.model_channels}"
        )
    return spec


def _hint_channels(tree: ShapeTree) -> tuple[int, ...]:
    """Between the convolutions, which stand at every other place."""
    channels = [tree.weight("input_hint_block.0.weight")[0]]
    while (name := f"input_hint_block.{2 * (len(channels) - 1)}.weight") in tree:
        channels_in, channels_out = tree.weight(name)
        if channels_in != channels[-1]:
            raise ModelCorrupt(f"the tensor {name} reads {channels_in} channels, but gets {channels[-1]}")
        channels.append(channels_out)
    return tuple(channels)


class ControlNet(Encoder):
    """A ControlNet of the sizes in `spec`; built without weights, filled by `from_tensors`."""

    def __init__(self, spec: ControlSpec) -> None:
        super().__init__(spec.encoder)
        self.control_spec = spec
        skips = skip_channels(spec.encoder)
        self.hint = _Hint(spec.hint_channels)
        self.outs = nn.ModuleList(nn.Sequential(Conv2d(channels, channels, 1)) for channels in skips)
        self.middle_out = Conv2d(skips[-1], skips[-1], 1)
        self.union = _Union(spec) if spec.kinds else None

    @classmethod
    def from_tensors(cls, spec: ControlSpec, tensors: Mapping[str, Tensor]) -> ControlNet:
        """A ControlNet whose weights are `tensors`, named as by the first implementation. Raises ModelCorrupt."""
        network = cls(spec)
        assign_weights(network, tensors, file_name=_file_name)
        return network.eval()

    def forward(
        self,
        x: Tensor,
        picture: Tensor,
        timestep: Tensor,
        context: Tensor,
        y: Tensor | None = None,
        *,
        kinds: Sequence[int] = (),
    ) -> Residuals:
        """What is added to the UNet that reads the latent `x` (B, 4, h, w).

        `picture` is (B or 1, C, 8 h, 8 w) in 0..1; `kinds` are the controls of a union that it is one of. The rest is
        as of `UNet`. Raises ValueError for a kind that the network does not know.
        """
        added = None if self.union is None else self.union.of_kinds(kinds, x.dtype)
        given = Given(time=self.time(timestep, y, x.dtype, more=added), context=context, size=size_of(x))
        seen = self.hint(picture)
        if self.union is not None and kinds:
            seen = self.union(seen, kinds)
        skips = []
        for index, (block, out) in enumerate(zip(self.input_blocks, self.outs, strict=True)):
            x = through(block, x, given)
            if index == 0:
                x = x + seen
            skips.append(out(x))
        return Residuals(skips=skips, middle=self.middle_out(through(self.middle_block, x, given)))


class _Hint(nn.Module):
    """Convolutions that bring the picture to the latent's size: all but the first and last even ones halve it."""

    __call__: Callable[..., Tensor]

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        last = len(channels) - 2
        for index in range(last + 1):
            stride = 2 if index % 2 == 0 and 0 < index < last else 1
            layer = Conv2d(channels[index], channels[index + 1], 3, stride=stride, padding=1)
            self.add_module(str(2 * index), layer)

    def forward(self, x: Tensor) -> Tensor:
        layers = list(self.children())
        for layer in layers[:-1]:
            x = F.silu(layer(x))
        made: Tensor = layers[-1](x)
        return made


class _Union(nn.Module):
    """What a union of controls does with the kind of its picture: it steers the timestep and shifts the channels."""

    __call__: Callable[..., Tensor]

    def __init__(self, spec: ControlSpec) -> None:
        super().__init__()
        channels, time_channels = spec.mixed_channels, 4 * spec.encoder.model_channels
        self.type_in = Linear(_TYPE_CHANNELS * spec.kinds, time_channels)
        self.type_out = Linear(time_channels, time_channels)
        self.type_shift = nn.Parameter(torch.empty(spec.kinds, channels, device="meta"))
        self.mixer = _Mixer(channels)
        self.shift_out = Linear(channels, channels)

    def of_kinds(self, kinds: Sequence[int], dtype: torch.dtype) -> Tensor:
        """(1, E) beside the timestep. Raises ValueError for a kind that is not here."""
        known = len(self.type_shift)
        if unknown := [kind for kind in kinds if kind >= known]:
            raise ValueError(f"this ControlNet knows {known} kinds of control, but number {unknown[0]} is asked for")
        chosen = torch.zeros(known, device=self.type_shift.device)
        chosen[list(kinds)] = 1.0
        return self.type_out(F.silu(self.type_in(sinusoids(chosen, _TYPE_CHANNELS).to(dtype).reshape(1, -1))))

    def forward(self, seen: Tensor, kinds: Sequence[int]) -> Tensor:
        """`seen` (B, C, h, w), the picture of the first of `kinds`, shifted by what its mean over the places says."""
        token = seen.mean(dim=(2, 3)) + self.type_shift[kinds[0]]
        return seen + self.shift_out(self.mixer(token[:, None])[:, 0])[:, :, None, None]


class _Mixer(nn.Module):
    """A transformer block over (B, N, C) as CLIP has them."""

    __call__: Callable[..., Tensor]

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.attn = _SelfAttention(channels)
        self.ln_1 = LayerNorm(channels)
        self.mlp = nn.ModuleDict({"c_fc": Linear(channels, 4 * channels), "c_proj": Linear(4 * channels, channels)})
        self.ln_2 = LayerNorm(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.ln_1(x))
        h = self.mlp["c_fc"](self.ln_2(x))
        changed: Tensor = self.mlp["c_proj"](h * torch.sigmoid(1.702 * h))
        return x + changed


class _SelfAttention(nn.Module):
    __call__: Callable[..., Tensor]

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.in_proj_weight = nn.Parameter(torch.empty(3 * channels, channels, device="meta"))
        self.in_proj_bias = nn.Parameter(torch.empty(3 * channels, device="meta"))
        self.out_proj = Linear(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            part.view(*x.shape[:2], _UNION_HEADS, -1).transpose(1, 2)
            for part in F.linear(x, self.in_proj_weight, self.in_proj_bias).chunk(3, dim=-1)
        )
        return self.out_proj(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))


def _file_name(parameter: str) -> str:
    """The name that files give a parameter of `ControlNet`."""
    parts = parameter.removeprefix("union.").split(".")
    return file_name(".".join(_FILE_NAMES.get(part, part) for part in parts))
