"""Many prompts over one latent, run in as few calls of the model as shapes and memory allow, and blended by weight."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from runtime.diffusion.conditioning import Prompt, for_batch
from runtime.diffusion.control import Control, Controls
from runtime.diffusion.memory import free_bytes
from runtime.diffusion.model import DiffusionModel

# A weight where nothing counts, so that dividing by it gives 0.
_NOTHING = 1e-37
# Prompts are repeated to a common length; beyond this many times, one call costs more than two.
_MAX_REPEATS = 4
# Activations per latent pixel and byte of the dtype: what ComfyUI reckons with for these UNets, and half as much again.
_BYTES_PER_PIXEL = 0.01 * 2**20 * 1.5


@dataclass(frozen=True, kw_only=True)
class _Share:
    """One prompt of one side as a part of a batch; `weight` is None where it alone makes up its side."""

    side: int
    prompt: Prompt
    weight: Tensor | None  # (B or 1, 1, rows, columns), over the sum of all weights

    def crop(self, x: Tensor) -> Tensor:
        return x if self.prompt.area is None else self.prompt.area.of(x)


@dataclass(frozen=True, kw_only=True)
class _Batch:
    """Shares that run as one call of the model, with all that does not change from step to step joined already."""

    shares: tuple[_Share, ...]
    context: Tensor  # (shares * B, T, D)
    y: Tensor | None
    concat: Tensor | None
    control: Control | None

    def run(self, model: DiffusionModel, controls: Controls, x: Tensor, sigma: float) -> Sequence[Tensor]:
        """The clean latents that the shares see in `x` (B, C, h, w), each (B, C, rows, columns)."""
        rows = torch.cat([share.crop(x) for share in self.shares])
        sigmas = rows.new_full((len(rows),), sigma)
        control = None
        if self.control is not None:
            control = controls.residuals(self.control, rows, sigma, self.context, self.y, shares=len(self.shares))
        seen = model.denoise(rows, sigmas, self.context, y=self.y, concat=self.concat, control=control)
        return seen.chunk(len(self.shares))


class PromptBatches:
    """What each side of guidance sees in a latent. One object serves one run, for latents of one shape."""

    def __init__(self, model: DiffusionModel, sides: Sequence[Sequence[Prompt]], like: Tensor) -> None:
        """`sides` are positive, negative, ...; `like` (B, C, h, w) is a latent of the run, on the model's device."""
        self._model, self._like = model, like
        self._controls = Controls(model)
        height, width = like.shape[-2:]
        self._sides = [[_clipped(prompt, height, width) for prompt in side] for side in sides]
        self._plans: dict[tuple[tuple[int, int], ...], list[_Batch]] = {}
        self._largest = sum(len(side) for side in sides)

    def __call__(self, x: Tensor, sigma: Tensor, sides: Sequence[int]) -> list[Tensor]:
        """The clean latent (B, C, h, w) that each of `sides` sees in `x`; 0 where no prompt of it counts.

        Where the device runs out of memory, batches are halved, for good, down to one prompt each.
        """
        level = float(sigma)
        active = tuple(
            (side, index) for side in sides for index, prompt in enumerate(self._sides[side]) if prompt.is_active(level)
        )
        while True:
            seen = self._try(x, level, active)
            if seen is not None:
                return [seen.get(side, torch.zeros_like(x)) for side in sides]
            self._largest = max(1, self._largest // 2)
            self._plans.clear()
            torch.cuda.empty_cache()

    def _try(self, x: Tensor, sigma: float, active: tuple[tuple[int, int], ...]) -> dict[int, Tensor] | None:
        """What the sides see, or None where memory ran out over a batch that can be halved."""
        if active not in self._plans:
            self._plans[active] = self._plan(active)
        plan = self._plans[active]
        try:
            return _blend(self._model, self._controls, plan, x, sigma)
        except torch.OutOfMemoryError:
            if max(len(batch.shares) for batch in plan) == 1:
                raise
            return None

    def _plan(self, active: Sequence[tuple[int, int]]) -> list[_Batch]:
        by_side: dict[int, list[Prompt]] = {}
        for side, index in active:
            by_side.setdefault(side, []).append(self._sides[side][index])
        waiting = [share for side, prompts in by_side.items() for share in self._weighed(side, prompts)]
        batches = []
        while waiting:
            fitting = [share for share in waiting if _alike(share.prompt, waiting[0].prompt)]
            chosen = fitting[: self._room(fitting)]
            batches.append(self._joined(chosen))
            waiting = [share for share in waiting if all(share is not other for other in chosen)]
        return batches

    def _weighed(self, side: int, prompts: Sequence[Prompt]) -> Iterator[_Share]:
        if len(prompts) == 1 and prompts[0].area is None and prompts[0].mask is None and prompts[0].strength > 0:
            yield _Share(side=side, prompt=prompts[0], weight=None)
            return
        weights = [prompt.weight(self._like) for prompt in prompts]
        total = torch.full_like(self._like[:, :1], _NOTHING)
        for prompt, weight in zip(prompts, weights, strict=True):
            (total if prompt.area is None else prompt.area.of(total)).add_(weight)
        for prompt, weight in zip(prompts, weights, strict=True):
            around = total if prompt.area is None else prompt.area.of(total)
            yield _Share(side=side, prompt=prompt, weight=weight / around)

    def _room(self, shares: Sequence[_Share]) -> int:
        """How many of `shares`, all of one shape, run as one batch."""
        most = min(len(shares), self._largest)
        if self._like.device.type != "cuda":
            return most
        pixels = len(self._like) * shares[0].crop(self._like[0, 0]).numel()
        needed = pixels * self._model.dtype.itemsize * _BYTES_PER_PIXEL
        return max(1, min(most, int(free_bytes(self._like.device) / needed)))

    def _joined(self, shares: Sequence[_Share]) -> _Batch:
        prompts = [share.prompt for share in shares]
        rows = len(self._like)
        length = math.lcm(*(prompt.context.shape[1] for prompt in prompts))
        contexts = [prompt.context.repeat(1, length // prompt.context.shape[1], 1) for prompt in prompts]
        return _Batch(
            shares=tuple(shares),
            context=torch.cat([for_batch(context, rows) for context in contexts]),
            y=_joined_rows([prompt.y for prompt in prompts], rows),
            concat=_joined_rows([_cropped_concat(prompt) for prompt in prompts], rows),
            control=prompts[0].control,
        )


def _blend(
    model: DiffusionModel, controls: Controls, plan: Sequence[_Batch], x: Tensor, sigma: float
) -> dict[int, Tensor]:
    seen: dict[int, Tensor] = {}
    for batch in plan:
        for share, clean in zip(batch.shares, batch.run(model, controls, x, sigma), strict=True):
            if share.weight is None:
                seen[share.side] = clean
                continue
            total = seen.setdefault(share.side, torch.zeros_like(x))
            share.crop(total).add_(clean * share.weight)
    return seen


def _clipped(prompt: Prompt, height: int, width: int) -> Prompt:
    return prompt if prompt.area is None else replace(prompt, area=prompt.area.clipped(height, width))


def _alike(one: Prompt, other: Prompt) -> bool:
    """Whether two prompts can run in one batch: the same control, crop's shape, and contexts of a common length."""
    if one.control is not other.control:
        return False
    if _sides_of(one) != _sides_of(other) or one.context.shape[2] != other.context.shape[2]:
        return False
    lengths = one.context.shape[1], other.context.shape[1]
    return math.lcm(*lengths) // min(lengths) <= _MAX_REPEATS


def _sides_of(prompt: Prompt) -> tuple[int, int] | None:
    return None if prompt.area is None else (prompt.area.height, prompt.area.width)


def _cropped_concat(prompt: Prompt) -> Tensor | None:
    if prompt.concat is None or prompt.area is None:
        return prompt.concat
    return prompt.area.of(prompt.concat)


def _joined_rows(parts: Sequence[Tensor | None], rows: int) -> Tensor | None:
    present = [for_batch(part, rows) for part in parts if part is not None]
    return torch.cat(present) if present else None
