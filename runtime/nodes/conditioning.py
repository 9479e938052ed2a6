"""Nodes that join, weigh and limit conditionings. Each answers new entries and leaves the given ones as they are."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from runtime.nodes.inputs import Conditioning, InputTypes, decimal

if TYPE_CHECKING:
    from torch import Tensor

_log = logging.getLogger(__name__)


def with_options(conditioning: Conditioning, **options: object) -> Conditioning:
    """`conditioning` with `options` set on every entry."""
    return [[tensor, {**kept, **options}] for tensor, kept in conditioning]


class ConditioningCombine:
    """Both conditionings side by side: the sampler averages what they predict."""

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "combine"
    CATEGORY = "conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"conditioning_1": ("CONDITIONING",), "conditioning_2": ("CONDITIONING",)}}

    def combine(self, conditioning_1: Conditioning, conditioning_2: Conditioning) -> tuple[Conditioning]:
        return (conditioning_1 + conditioning_2,)


class ConditioningConcat:
    """The tokens of `conditioning_from` appended to those of every entry of `conditioning_to`."""

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "concat"
    CATEGORY = "conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"conditioning_to": ("CONDITIONING",), "conditioning_from": ("CONDITIONING",)}}

    def concat(self, conditioning_to: Conditioning, conditioning_from: Conditioning) -> tuple[Conditioning]:
        tail, _ = _first(conditioning_from, "ConditioningConcat")
        return ([[torch.cat((tensor, tail), dim=1), dict(kept)] for tensor, kept in conditioning_to],)


class ConditioningAverage:
    """`conditioning_to` times its strength plus `conditioning_from` times the rest, token by token."""

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "average"
    CATEGORY = "conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "conditioning_to": ("CONDITIONING",),
                "conditioning_from": ("CONDITIONING",),
                "conditioning_to_strength": decimal(1.0, 0.0, 1.0, 0.01),
            }
        }

    def average(
        self, conditioning_to: Conditioning, conditioning_from: Conditioning, conditioning_to_strength: float
    ) -> tuple[Conditioning]:
        tail, tail_options = _first(conditioning_from, "ConditioningAverage")
        pooled = tail_options.get("pooled_output")
        averaged: Conditioning = []
        for tensor, kept in conditioning_to:
            mixed = _mix(tensor, _fitted(tail, tensor.shape[1]), conditioning_to_strength)
            averaged.append([mixed, _with_pooled(kept, pooled, conditioning_to_strength)])
        return (averaged,)


class ConditioningZeroOut:
    """Every entry with its tokens and its pooled output set to nought."""

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "zero_out"
    CATEGORY = "advanced/conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"conditioning": ("CONDITIONING",)}}

    def zero_out(self, conditioning: Conditioning) -> tuple[Conditioning]:
        return ([[torch.zeros_like(tensor), _zeroed(kept)] for tensor, kept in conditioning],)


class ConditioningSetTimestepRange:
    """The conditioning at work only from `start` to `end`, as parts of the whole denoising."""

    RETURN_TYPES = ("CONDITIONING",)
    FUNCTION = "set_range"
    CATEGORY = "advanced/conditioning"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {
            "required": {
                "conditioning": ("CONDITIONING",),
                "start": decimal(0.0, 0.0, 1.0, 0.001),
                "end": decimal(1.0, 0.0, 1.0, 0.001),
            }
        }

    def set_range(self, conditioning: Conditioning, start: float, end: float) -> tuple[Conditioning]:
        return (with_options(conditioning, start_percent=start, end_percent=end),)


def _first(conditioning: Conditioning, node: str) -> list[Any]:
    if len(conditioning) > 1:
        _log.warning("%s uses the first of the %d entries of conditioning_from", node, len(conditioning))
    return conditioning[0]


def _fitted(tensor: Tensor, tokens: int) -> Tensor:
    """`tensor` (B, T, D) cut or padded with zeros to (B, `tokens`, D)."""
    return F.pad(tensor[:, :tokens], (0, 0, 0, max(0, tokens - tensor.shape[1])))


def _mix(first: Tensor, second: Tensor, strength: float) -> Tensor:
    return first * strength + second * (1.0 - strength)


def _with_pooled(kept: dict[str, Any], pooled: Tensor | None, strength: float) -> dict[str, Any]:
    """`kept` with its pooled output mixed with `pooled`; where one of the two is absent, the other as it is."""
    if pooled is None:
        return dict(kept)
    own = kept.get("pooled_output", pooled)
    return {**kept, "pooled_output": pooled if own is None else _mix(own, pooled, strength)}


def _zeroed(kept: dict[str, Any]) -> dict[str, Any]:
    pooled = kept.get("pooled_output")
    return dict(kept) if pooled is None else {**kept, "pooled_output": torch.zeros_like(pooled)}


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "ConditioningCombine": ConditioningCombine,
    "ConditioningConcat": ConditioningConcat,
    "ConditioningAverage": ConditioningAverage,
    "ConditioningZeroOut": ConditioningZeroOut,
    "ConditioningSetTimestepRange": ConditioningSetTimestepRange,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "ConditioningCombine": "Conditioning (Combine)",
    "ConditioningConcat": "Conditioning (Concat)",
}
