"""A module under any number of LoRAs, which share the weights that none of them changes."""

from __future__ import annotations

import copy
import logging
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, TypeVar, cast

import torch
from torch import Tensor, nn

from runtime.diffusion.applied_loras import APPLIED
from runtime.diffusion.lora import Lora
from runtime.diffusion.weight_change import Change

Module = TypeVar("Module", bound=nn.Module)

_NAMED = 3

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class _Change:
    """What one LoRA does to one weight."""

    delta: Change
    strength: float

    @property
    def key(self) -> Hashable:
        """Equal where tensors, scale and strength are the same; whoever keeps it keeps the tensors too."""
        return type(self.delta), tuple(map(_Same, self.delta.tensors)), self.delta.scale, self.strength

    def added(self, weight: Tensor) -> Tensor:
        """The float32 `weight` with the change."""
        return self.delta.added(weight, self.strength)


class _Same:
    """A tensor by what it is, not by what is in it."""

    def __init__(self, tensor: Tensor | None) -> None:
        self._tensor = tensor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._tensor is other._tensor

    def __hash__(self) -> int:
        return id(self._tensor)


class LoraStack(Generic[Module]):
    """`base` and the LoRAs on it. Their weights are made when `module` is first asked for.

    So a stack that only carries another one never takes memory; the same LoRAs on the same base as the last time are
    not applied anew (`AppliedLoras`). Changes of one weight are added up in float32 and
    rounded once: to `precision` where it is given, then to the dtype that the weight has in `base`.
    """

    def __init__(self, base: Module, *, precision: torch.dtype | None = None) -> None:
        self.base = base
        self._precision = precision
        self._changes: Mapping[str, Sequence[_Change]] = {}

    def with_lora(self, lora: Lora, layers: Mapping[str, str], strength: float) -> LoraStack[Module]:
        """A stack with the changes of `layers` (name in the file -> parameter) on top, `strength` times.

        What does not fit its weight, as in a LoRA of another family, is left out and named in the log, as in ComfyUI.
        """
        changes = {parameter: list(below) for parameter, below in self._changes.items()}
        misfits = []
        for name, parameter, delta in _aimed(lora, layers):
            weight = self._find(parameter)
            if weight is None or not delta.fits(weight.shape):
                misfits.append(name)
            else:
                changes.setdefault(parameter, []).append(_Change(delta=delta, strength=strength))
        if misfits:
            some = ", ".join(misfits[:_NAMED]) + (", ..." if len(misfits) > _NAMED else "")
            _log.warning(
                "%s: %d of its changes do not fit the model and are left out: %s", lora.name, len(misfits), some
            )
        stack = LoraStack(self.base, precision=self._precision)
        stack._changes = changes
        return stack

    def _find(self, parameter: str) -> Tensor | None:
        try:
            return self.base.get_parameter(parameter)
        except AttributeError:  # torch's word for a layer without a bias
            return None

    @cached_property
    def module(self) -> Module:
        """`base` itself where nothing changes it, otherwise a copy that shares every unchanged weight with it."""
        if not self._changes:
            return self.base
        key = self._key
        kept = APPLIED.find(self.base, key)
        if kept is not None:
            return cast(Module, kept)
        APPLIED.let_go_before(self.base)
        changed = _sharing_copy(self.base)
        for parameter, changes in self._changes.items():
            _replace(changed, parameter, self._weight(parameter, changes))
        APPLIED.keep(self.base, key, changed)
        return changed

    @property
    def _key(self) -> Hashable:
        changes = ((parameter, tuple(change.key for change in each)) for parameter, each in self._changes.items())
        return self._precision, tuple(changes)

    def _weight(self, parameter: str, changes: Sequence[_Change]) -> Tensor:
        weight = self.base.get_parameter(parameter).detach().float()
        for change in changes:
            weight = change.added(weight)
        return weight if self._precision is None else weight.to(self._precision)


def _aimed(lora: Lora, layers: Mapping[str, str]) -> Iterator[tuple[str, str, Change]]:
    """Each change of `layers`: its layer's name in the file, its parameter, and itself."""
    for name, delta in lora.deltas.items():
        if name in layers:
            yield name, layers[name], delta
    for name, delta in lora.bias_deltas.items():
        if name in layers:
            yield name, f"{layers[name].removesuffix('.weight')}.bias", delta


def _sharing_copy(module: Module) -> Module:
    """A copy of the modules on the same weights."""
    return copy.deepcopy(module, {id(weight): weight for weight in module.parameters()})


def _replace(module: nn.Module, parameter: str, weight: Tensor) -> None:
    """Put `weight` in the place of a parameter, in that one's dtype."""
    path, _, leaf = parameter.rpartition(".")
    old = module.get_parameter(parameter)
    setattr(module.get_submodule(path), leaf, nn.Parameter(weight.to(old.dtype), requires_grad=False))
