"""Low-rank changes of a model's weights (Hu et al. 2021, arXiv:2106.09685), applied without changing the model."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from runtime.errors import ModelCorrupt

Module = TypeVar("Module", bound=nn.Module)

# How the tools that train LoRAs name the two factors behind a layer's name: (B, A) of W + B A.
_FACTORS: tuple[tuple[str, str], ...] = (
    (".lora_up.weight", ".lora_down.weight"),
    (".lora_B.weight", ".lora_A.weight"),
    (".lora_B.default.weight", ".lora_A.default.weight"),
    (".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight"),
    (".lora.up.weight", ".lora.down.weight"),
    ("_lora.up.weight", "_lora.down.weight"),
)
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

    def product(self, like: Tensor) -> Tensor:
        """The change in the shape of the weight `like`, float32 on its device, not scaled. Raises RuntimeError."""
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
        self.deltas = dict(_deltas(tensors))
        if not self.deltas:
            raise ModelCorrupt(f"no LoRA: none of its {len(tensors)} tensors ends with {_FACTORS[0][0]} or the like")

    def applied(
        self, module: Module, layers: Mapping[str, str], strength: float, *, precision: torch.dtype | None = None
    ) -> Module:
        """A copy of `module` with the changes of `layers` (name in the file -> parameter) added, `strength` times.

        All other weights are shared with `module`. Changed ones are rounded to `precision` where it is given, and kept
        in the dtype that they had. Raises ModelCorrupt for a change that does not fit its weight.
        """
        changed = _sharing_copy(module)
        for name, delta in self.deltas.items():
            if name in layers:
                weight = _weight(changed, layers[name], delta, strength, name)
                _replace(changed, layers[name], weight if precision is None else weight.to(precision))
        return changed


def _deltas(tensors: Mapping[str, Tensor]) -> Iterable[tuple[str, Delta]]:
    for up, down in _FACTORS:
        for name in [name.removesuffix(up) for name in tensors if name.endswith(up)]:
            if name + down not in tensors:
                raise ModelCorrupt(f"the LoRA has no tensor {name}{down} beside {name}{up}")
            alpha = tensors.get(f"{name}.alpha")
            yield (
                name,
                Delta(
                    up=tensors[name + up],
                    down=tensors[name + down],
                    alpha=None if alpha is None else float(alpha),
                    mid=tensors.get(f"{name}.lora_mid.weight"),
                ),
            )


def _sharing_copy(module: Module) -> Module:
    """A copy of the modules on the same weights."""
    return copy.deepcopy(module, {id(weight): weight for weight in module.parameters()})


def _weight(module: nn.Module, parameter: str, delta: Delta, strength: float, name: str) -> Tensor:
    """The changed weight, float32."""
    weight = module.get_parameter(parameter)
    try:
        change = delta.product(weight)
    except RuntimeError as exc:
        sizes = f"{list(delta.up.shape)} times {list(delta.down.shape)}"
        raise ModelCorrupt(f"the LoRA's layer {name} is {sizes}, expected what gives {list(weight.shape)}") from exc
    return weight.float() + change * (strength * delta.scale)


def _replace(module: nn.Module, parameter: str, weight: Tensor) -> None:
    """Put `weight` in the place of a parameter, in that one's dtype."""
    path, _, leaf = parameter.rpartition(".")
    old = module.get_parameter(parameter)
    setattr(module.get_submodule(path), leaf, nn.Parameter(weight.to(old.dtype), requires_grad=False))
