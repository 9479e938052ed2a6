"""One model in the cache, the tiers that have it, and what it took to bring it there."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    import torch

Model = TypeVar("Model")


class Tier(str, Enum):
    """Where a model is, the fastest first; below them is the volume."""

    GPU = "gpu"
    RAM = "ram"


@dataclass(frozen=True, kw_only=True)
class Loading(Generic[Model]):
    """How models of a kind come into memory.

    `load` reads a file to a device. `move` copies a model to another device and leaves the original as it is; None for
    a kind that stays in RAM and that jobs read from there.
    """

    load: Callable[[Path, torch.device], Model]
    size_of: Callable[[Model], int]
    move: Callable[[Model, torch.device], Model] | None


@dataclass(kw_only=True)
class Held:
    """A model that is kept, once on the GPU, once in RAM, or in both; `identity` is that of its file."""

    name: str
    identity: str
    size_bytes: int
    loading: Loading[Any]
    models: dict[Tier, Any]
    hits: int = 0
    load_s: float = 0.0
    """What the last way into memory took, from the volume or from RAM to the GPU."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What may be kept, in bytes; infinite for what memory holds. Without `offload` nothing goes from GPU to RAM."""

    gpu_bytes: float = float("inf")
    gpu_fraction: float = 1.0
    """The share of the GPU's memory that models may take, at most `gpu_bytes`."""
    total_bytes: float = float("inf")
    offload: bool = True


@dataclass(frozen=True, kw_only=True)
class HeldHealth:
    """A model as health tells of it: `name` with its folder."""

    name: str
    tiers: tuple[str, ...]
    size_bytes: int
    hits: int
    load_s: float
    in_use: bool


@dataclass(frozen=True, kw_only=True)
class CacheHealth:
    """What is in which tier. `misses` came from the volume, in `miss_s` seconds of loading, `returns` from RAM in
    `return_s`; `drops` left memory.
    """

    models: Sequence[HeldHealth]
    bytes: Mapping[str, int]
    hits: int
    misses: int
    returns: int
    drops: int
    miss_s: float
    return_s: float
