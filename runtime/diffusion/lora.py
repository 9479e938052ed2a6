"""Low-rank changes of a model's weights (Hu et al. 2021, arXiv:2106.09685), as a file holds them."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from runtime.errors import ModelCorrupt

# How the tools that train LoRAs name the two factors behind a layer's name: (B, A) of W + B A.
_FACTORS: tuple[tuple[str, str], ...] = (
    (".lora_up.weight", ".lora_down.weight"),
    (".lora_B.weight", ".lora_A.weight"),
    (".lora_B.default.weight", ".lora_A.default.weight"),
    (".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight"),
    (".lora.up.weight", ".lora.down.weight"),
    ("_lora.up.weight", "_lora.down.weight"),
)
_ALPHA = ".alpha"
_MID = ".lora_mid.weight"
_UNSUPPORTED = {
    ".dora_scale": "DoRA",
    ".hada_w1_a": "LoHa",
    ".lokr_w1": "LoKr",
    ".lokr_w1_a": "LoKr",
    ".a1.weight": "GLoRA",
    ".oft_blocks": "OFT",
}


@dataclass(frozen=True, kw_only=True)
class Delta:
    """A change of one weight: `up` (O, r, ...) times `down` (r, I, ...), scaled by `alpha` / r.

    For a convolution `mid` (r, r, k, k) may stand between them (LoCon, source: github.com/KohakuBlueleaf/LyCORIS).
    """

    up: Tensor
    down: Tensor
    alpha: float | None = None
    mid: Tensor | None = None

    @property
    def scale(self) -> float:
        return 1.0 if self.alpha is None else self.alpha / self.down.shape[0]

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether the factors can be multiplied, and give as many numbers as a weight of `shape` has."""
        if min(self.up.ndim, self.down.ndim) < 2 or 0 in self.down.shape:
            return False
        rank, columns = self.down.shape[0], math.prod(self.down.shape[1:])
        if self.mid is not None:
            if self.mid.ndim < 3 or (self.mid.shape[1], self.down.shape[1]) != (rank, columns):
                return False
            rank, columns = self.mid.shape[0], columns * math.prod(self.mid.shape[2:])
        return math.prod(self.up.shape[1:]) == rank and self.up.shape[0] * columns == math.prod(shape)

    def product(self, like: Tensor) -> Tensor:
        """The change in the shape of the weight `like`, which it `fits`, float32 on its device, not scaled."""
        up, down = self.up.to(like.device).float(), self.down.to(like.device).float()
        if self.mid is not None:
            inner = self.mid.to(like.device).float().transpose(0, 1)  # (r, r', k, k), as (r, r' k k) below
            kernel = inner.shape[2:]
            down = down.transpose(0, 1).flatten(1) @ inner.flatten(1)  # (I, r' k k)
            down = down.view(-1, inner.shape[1], *kernel).transpose(0, 1)  # (r', I, k, k)
        return (up.flatten(1) @ down.flatten(1)).view(like.shape)


class Lora:
    """The changes that a file holds, by the names that it gives the layers."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        """Raises ModelCorrupt where the file holds no LoRA, or one of a kind that is not supported."""
        for suffix, kind in _UNSUPPORTED.items():
            if name := next((name for name in tensors if name.endswith(suffix)), None):
                raise ModelCorrupt(f"the tensor {name} is of a {kind}, expected a LoRA of two factors")
        self.deltas: Mapping[str, Delta] = dict(_deltas(tensors))
        if not self.deltas:
            raise ModelCorrupt(f"no LoRA: none of its {len(tensors)} tensors ends with {_FACTORS[0][0]} or the like")
        self._unread = tuple(_unread(tensors, self.deltas))

    def unused(self, layers: Collection[str]) -> list[str]:
        """What the file holds beyond changes of `layers`: other layers, and tensors that are part of no change."""
        return [*(name for name in self.deltas if name not in layers), *self._unread]


def _deltas(tensors: Mapping[str, Tensor]) -> Iterator[tuple[str, Delta]]:
    for up, down in _FACTORS:
        for name in [name.removesuffix(up) for name in tensors if name.endswith(up)]:
            if name + down not in tensors:
                raise ModelCorrupt(f"the LoRA has no tensor {name}{down} beside {name}{up}")
            alpha = tensors.get(name + _ALPHA)
            yield (
                name,
                Delta(
                    up=tensors[name + up],
                    down=tensors[name + down],
                    alpha=None if alpha is None else float(alpha),
                    mid=tensors.get(name + _MID),
                ),
            )


def _unread(tensors: Mapping[str, Tensor], deltas: Collection[str]) -> Iterator[str]:
    """The tensors that no change is made of."""
    suffixes = (*(suffix for pair in _FACTORS for suffix in pair), _ALPHA, _MID)
    for name in tensors:
        if not any(name.endswith(suffix) and name.removesuffix(suffix) in deltas for suffix in suffixes):
            yield name
