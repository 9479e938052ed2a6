"""The kinds of change that a LoRA file makes to one weight, as `W + strength * scale * product`."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


class Change(ABC):
    """A change of one weight."""

    @property
    @abstractmethod
    def tensors(self) -> tuple[Tensor | None, ...]:
        """What it is made of: two changes of one kind with the same tensors and the same scale are the same."""

    @property
    def scale(self) -> float:
        return 1.0

    @abstractmethod
    def product(self, like: Tensor) -> Tensor:
        """The change in the shape of the weight `like`, which it `fits`, float32 on its device, not scaled."""

    def fits(self, shape: Sequence[int]) -> bool:
        """Whether it is of the size of a weight of `shape`."""
        try:
            self.product(torch.empty(tuple(shape), device="meta"))
        except (RuntimeError, IndexError):  # what torch says of sizes that do not go together
            return False
        return True

    def added(self, weight: Tensor, strength: float) -> Tensor:
        """The float32 `weight` with `strength` times the change."""
        return weight + self.product(weight) * (strength * self.scale)


@dataclass(frozen=True, kw_only=True)
class LowRank(Change):
    """`up` (O, r, ...) times `down` (r, I, ...), scaled by `alpha` / r (Hu et al. 2021, arXiv:2106.09685).

    For a convolution `mid` (r, r, k, k) may stand between them (LoCon, source: github.com/KohakuBlueleaf/LyCORIS).
    """

    up: Tensor
    down: Tensor
    alpha: float | None = None
    mid: Tensor | None = None

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        return self.up, self.down, self.mid

    @property
    def scale(self) -> float:
        return _scale(self.alpha, len(self.down))

    def fits(self, shape: Sequence[int]) -> bool:
        if min(self.up.ndim, self.down.ndim) < 2 or 0 in self.down.shape:
            return False
        rank, columns = self.down.shape[0], math.prod(self.down.shape[1:])
        if self.mid is not None:
            if self.mid.ndim < 3 or (self.mid.shape[1], self.down.shape[1]) != (rank, columns):
                return False
            rank, columns = self.mid.shape[0], columns * math.prod(self.mid.shape[2:])
        return math.prod(self.up.shape[1:]) == rank and self.up.shape[0] * columns == math.prod(shape)

    def product(self, like: Tensor) -> Tensor:
        up, down = _on(self.up, like), _on(self.down, like)
        if self.mid is not None:
            inner = _on(self.mid, like).transpose(0, 1)  # (r, r', k, k), as (r, r' k k) below
            kernel = inner.shape[2:]
            down = down.transpose(0, 1).flatten(1) @ inner.flatten(1)  # (I, r' k k)
            down = down.view(-1, inner.shape[1], *kernel).transpose(0, 1)  # (r', I, k, k)
        return (up.flatten(1) @ down.flatten(1)).view(like.shape)


class Factors:
    """A matrix or a convolution's kernel: itself, or (O, r) times (r, I), or those as (r, O) and (r, I) around a core.

    The core is (r, r, k, k), the kernel then (O, I, k, k).
    """

    def __init__(self, *parts: Tensor) -> None:
        self.parts = parts

    @property
    def rank(self) -> int | None:
        """The rank of what is a product."""
        return len(self.parts[1]) if len(self.parts) > 1 else None

    def multiplied(self, like: Tensor) -> Tensor:
        """The product, float32 on the device of `like`."""
        first, *others = (_on(part, like) for part in self.parts)
        if not others:
            return first
        if len(others) == 1:
            return first @ others[0]
        right, core = others
        return torch.einsum("ijkl,jr,ip->prkl", core, right, first).contiguous()  # what torch.kron takes


@dataclass(frozen=True, kw_only=True)
class _OfTwo(Change):
    """A change that two matrices make."""

    first: Factors
    second: Factors
    alpha: float | None = None

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        return *self.first.parts, *self.second.parts


class Hadamard(_OfTwo):
    """Two low-rank matrices multiplied element by element: LoHa (Hyeon-Woo et al. 2021, arXiv:2108.06098)."""

    @property
    def scale(self) -> float:
        return _scale(self.alpha, self.first.rank)

    def product(self, like: Tensor) -> Tensor:
        return (self.first.multiplied(like) * self.second.multiplied(like)).reshape(like.shape)


class Kronecker(_OfTwo):
    """The Kronecker product of two matrices: LoKr (Yeh et al. 2023, arXiv:2309.14859).

    `alpha` counts only where one of the two is low-rank.
    """

    @property
    def scale(self) -> float:
        return _scale(self.alpha, self.second.rank or self.first.rank)

    def product(self, like: Tensor) -> Tensor:
        first, second = self.first.multiplied(like), self.second.multiplied(like)
        if second.ndim == 4:
            first = first[..., None, None]
        return torch.kron(first, second).reshape(like.shape)


@dataclass(frozen=True, kw_only=True)
class Whole(Change):
    """The change itself, in the weight's own shape."""

    difference: Tensor

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        return (self.difference,)

    def fits(self, shape: Sequence[int]) -> bool:
        return tuple(self.difference.shape) == tuple(shape)

    def product(self, like: Tensor) -> Tensor:
        return _on(self.difference, like)


@dataclass(frozen=True, kw_only=True)
class Directed(Change):
    """`change` as a new direction of the weight, whose length is `magnitude`: DoRA (Liu et al. 2024, arXiv:2402.09353).

    A length for each output is divided by that of the weight before the change, one for each input by that after it,
    as ComfyUI has it.
    """

    change: Change
    magnitude: Tensor

    @property
    def tensors(self) -> tuple[Tensor | None, ...]:
        return *self.change.tensors, self.magnitude

    @property
    def scale(self) -> float:
        return self.change.scale

    def fits(self, shape: Sequence[int]) -> bool:
        sides = self.magnitude.shape
        spreads = 0 < len(sides) <= len(shape) and all(
            side in (1, whole) for side, whole in zip(reversed(sides), reversed(shape), strict=False)
        )
        return spreads and self.change.fits(shape)

    def product(self, like: Tensor) -> Tensor:
        return self.change.product(like)

    def added(self, weight: Tensor, strength: float) -> Tensor:
        magnitude = _on(self.magnitude, weight)
        changed = self.change.added(weight, 1.0)
        is_by_output = len(magnitude) == len(weight)
        measured, axis = (weight, 0) if is_by_output else (changed, 1)
        others = [place for place in range(weight.ndim) if place != axis]
        lengths: Tensor = torch.linalg.vector_norm(measured, dim=others, keepdim=True) + torch.finfo(weight.dtype).eps
        return weight + (changed * (magnitude / lengths) - weight) * strength


def _scale(alpha: float | None, rank: int | None) -> float:
    return alpha / rank if alpha is not None and rank else 1.0


def _on(tensor: Tensor, like: Tensor) -> Tensor:
    return tensor.to(like.device).float()
