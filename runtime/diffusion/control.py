"""Controls of a sampling run by pictures: what a CONTROL_NET link and a conditioning carry, and a run's use of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F
from torch import Tensor

from runtime.diffusion.checkpoint import default_dtype
from runtime.diffusion.conditioning import for_batch
from runtime.diffusion.control_names import plain_names
from runtime.diffusion.control_net import ControlNet, ControlSpec, control_spec
from runtime.diffusion.cropping import cut_to_aspect
from runtime.diffusion.family import Family
from runtime.diffusion.layers import size_bytes
from runtime.diffusion.moving import moved
from runtime.diffusion.shape_tree import Shapes, ShapeTree
from runtime.diffusion.unet import Residuals
from runtime.errors import ModelCorrupt
from runtime.models.tensor_file import naming, open_tensors

if TYPE_CHECKING:
    from runtime.diffusion.model import DiffusionModel

_LATENT_PIXEL = 8  # in pixels of the picture
_LORA_MARK = "lora_controlnet"
_POOLED_ENDS = ("_shuffle", "_shuffle_fp16")


@dataclass(frozen=True, kw_only=True)
class ControlModel:
    """A ControlNet that runs on `device` in `dtype`; clones share the weights.

    `pools` says that what it adds is the same everywhere: its mean, for a control by the style of a shuffled picture.
    `kinds` are the controls of a union that the picture is one of.
    """

    network: ControlNet
    device: torch.device
    dtype: torch.dtype
    pools: bool = False
    kinds: tuple[int, ...] = ()

    @property
    def family(self) -> Family:
        return self.network.control_spec.family

    @property
    def picture_channels(self) -> int:
        return self.network.control_spec.picture_channels

    @property
    def size_bytes(self) -> int:
        return size_bytes(self.network)

    def on(self, device: torch.device) -> ControlModel:
        """A copy on `device`."""
        return replace(self, network=moved(self.network, device), device=device)

    def of_kinds(self, kinds: Sequence[int]) -> ControlModel:
        """The same weights, told which of a union's controls the picture is; the first one counts."""
        return replace(self, kinds=tuple(kinds))


@dataclass(frozen=True, kw_only=True, eq=False)
class Control:
    """One picture's control over a run, beside that of `previous`.

    `picture` is (b, C, H, W) in 0..1. The control is at work from `start` to `end`, shares of the way from noise (0) to
    picture (1), and what it adds counts `strength` times.
    """

    model: ControlModel
    picture: Tensor = field(repr=False)
    strength: float = 1.0
    start: float = 0.0
    end: float = 1.0
    previous: Control | None = None


class Controls:
    """What controls add to the steps of one run of `model`; each picture is brought to the latent's size once."""

    def __init__(self, model: DiffusionModel) -> None:
        self._model = model
        self._pictures: dict[tuple[Control, int, int], Tensor] = {}

    def residuals(
        self, control: Control, x: Tensor, sigma: float, context: Tensor, y: Tensor | None, *, shares: int
    ) -> Residuals | None:
        """What `control` and those before it add at the noise level `sigma`; None where none is at work.

        `x` (N, C, h, w) are `shares` times the same latents, `context` and `y` as of `DiffusionModel.denoise`.
        Raises ValueError for a ControlNet of another family than the model's.
        """
        total: Residuals | None = None
        for each in _in_order(control):
            if self._is_at_work(each, sigma):
                made = self._of_one(each, x, sigma, context, y, shares)
                total = made if total is None else _sum(total, made)
        return total

    def _is_at_work(self, control: Control, sigma: float) -> bool:
        percent = self._model.prediction.percent_to_sigma
        return percent(control.end) <= sigma <= percent(control.start)

    def _of_one(
        self, control: Control, x: Tensor, sigma: float, context: Tensor, y: Tensor | None, shares: int
    ) -> Residuals:
        net = control.model
        self._check(net)
        sigmas = x.new_full((len(x),), sigma)
        made = net.network(
            self._model.prediction.scale_input(x, sigmas).to(net.device, net.dtype),
            self._picture(control, x, shares),
            self._model.prediction.timestep(sigmas).to(net.device),
            context.to(net.device, net.dtype),
            None if y is None else y.to(net.device, net.dtype),
            kinds=net.kinds,
        )
        return Residuals(skips=[_weighed(part, control) for part in made.skips], middle=_weighed(made.middle, control))

    def _check(self, net: ControlModel) -> None:
        ours, theirs = self._model.unet.spec, net.network.spec
        if (ours.context_channels, ours.adm_channels) != (theirs.context_channels, theirs.adm_channels):
            raise ValueError(
                f"the ControlNet is one for {net.family.value}, but the model is of the family "
                f"{self._model.family.value}"
            )

    def _picture(self, control: Control, x: Tensor, shares: int) -> Tensor:
        """The control's picture at the size of the latents `x`, one for all of them or one for each."""
        height, width = (size * _LATENT_PIXEL for size in x.shape[-2:])
        key = control, height, width
        if key not in self._pictures:
            cut = cut_to_aspect(control.picture, width, height)
            scaled = F.interpolate(cut, size=(height, width), mode="nearest-exact")
            self._pictures[key] = scaled.to(control.model.device, control.model.dtype)
        pictures = self._pictures[key]
        if len(pictures) == 1:
            return pictures
        return for_batch(pictures, len(x) // shares).repeat(shares, 1, 1, 1)


def _in_order(control: Control) -> Iterator[Control]:
    """The first of the controls that were laid over one another, then those behind it."""
    chain = [control]
    while (previous := chain[-1].previous) is not None:
        chain.append(previous)
    return reversed(chain)


def _weighed(part: Tensor | None, control: Control) -> Tensor | None:
    if part is None:
        return None
    if control.model.pools:
        part = part.mean(dim=(2, 3), keepdim=True).expand_as(part)
    return part * control.strength


def _sum(one: Residuals, other: Residuals) -> Residuals:
    return Residuals(
        behind=_sums(one.behind, other.behind),
        skips=_sums(one.skips, other.skips),
        middle=_sums((one.middle,), (other.middle,))[0],
    )


def _sums(ones: Sequence[Tensor | None], others: Sequence[Tensor | None]) -> list[Tensor | None]:
    longest = max(len(ones), len(others))
    pairs = zip(*([*parts, *[None] * (longest - len(parts))] for parts in (ones, others)), strict=True)
    return [b if a is None else a if b is None else a + b for a, b in pairs]


def load_control(
    path: Path, *, device: torch.device, dtype: torch.dtype | None = None, may_map: bool = True
) -> ControlModel:
    """The ControlNet in the file at `path`, on `device`; `dtype` and `may_map` are as of `load_checkpoint`.

    Raises ModelCorrupt or ModelUnsafe, naming the file and its fault.
    """
    dtype = dtype or default_dtype(device)
    with open_tensors(path, may_map=may_map) as file, naming(path):
        spec, names = _layout(file.shapes)
        found = file.tensors(names.values(), device=device, dtype=dtype)
        network = ControlNet.from_tensors(spec, {name: found[stored] for name, stored in names.items()})
    return ControlModel(network=network, device=device, dtype=dtype, pools=path.stem.endswith(_POOLED_ENDS))


def check_control(shapes: Shapes) -> None:
    """Pass if a file whose tensors have these names and shapes is one that runs here; else raises ModelCorrupt."""
    _layout(shapes)


def _layout(shapes: Shapes) -> tuple[ControlSpec, dict[str, str]]:
    """The sizes of a ControlNet, and the first implementation's name of each tensor -> the name in the file."""
    if _LORA_MARK in shapes:
        raise ModelCorrupt("a Control-LoRA, which holds changes to a checkpoint instead of a ControlNet")
    if "difference" in shapes:
        raise ModelCorrupt("a ControlNet that holds its difference from a checkpoint")
    names = plain_names(shapes)
    return control_spec(ShapeTree({name: shapes[stored] for name, stored in names.items()})), names
