"""The last LoRAs on each module, kept between jobs: most jobs of a worker ask for the LoRAs of the one before."""

from __future__ import annotations

import threading
from collections.abc import Hashable
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import nn


@dataclass(frozen=True, kw_only=True)
class _Applied:
    key: Hashable
    module: nn.Module
    weights: tuple[torch.Tensor, ...]


class AppliedLoras:
    """One changed copy a base, for as long as the base lives and nobody needs the memory. Safe to use from threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._applied: WeakKeyDictionary[nn.Module, _Applied] = WeakKeyDictionary()

    def find(self, base: nn.Module, key: Hashable) -> nn.Module | None:
        """The copy of `base` that was kept under `key`, if it was the last one."""
        with self._lock:
            applied = self._applied.get(base)
            return applied.module if applied is not None and applied.key == key else None

    def keep(self, base: nn.Module, key: Hashable, module: nn.Module) -> None:
        """Keep `module`, which shares what it can with `base`, in the place of the copy before it."""
        shared = {id(weight) for weight in base.parameters()}
        own = tuple(weight for weight in module.parameters() if id(weight) not in shared)
        with self._lock:
            self._applied[base] = _Applied(key=key, module=module, weights=own)

    def let_go_before(self, base: nn.Module) -> None:
        """Free the copy of `base`, whose place a new one is about to take."""
        with self._lock:
            self._applied.pop(base, None)

    def let_go(self) -> None:
        """Free every copy that no job holds."""
        with self._lock:
            self._applied.clear()

    def size_bytes(self, device: torch.device) -> int:
        """The bytes on `device` that the copies have of their own."""
        with self._lock:
            weights = [weight for applied in self._applied.values() for weight in applied.weights]
        return sum(weight.nbytes for weight in weights if weight.device.type == device.type)


APPLIED = AppliedLoras()
