"""The loop that both stages of the training share: steps, a mean of the weights, checkpoints, a line of progress."""

from __future__ import annotations

import copy
import math
import random
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from torch import Tensor, nn

from scripts.train_demo.muon import Muon, is_matrix

PARTS = 2  # of a batch
_THREADS = 2

ModuleT = TypeVar("ModuleT", bound=nn.Module)

_WARM_UP_STEPS = 100
_DECAY_SHARE = 0.3  # of the steps, at the end, over which the learning rate goes to zero
_SAVE_EVERY_S = 60.0
_SHEET_EVERY = 200


@dataclass(frozen=True, kw_only=True)
class Draw:
    """What a step draws from: both depend on the seed and the step alone, so that a resumed run draws the same."""

    rng: random.Random
    generator: torch.Generator


def draw(seed: int, name: str, step: int, part: int) -> Draw:
    rng = random.Random(f"{seed}/{name}/{step}/{part}")
    return Draw(rng=rng, generator=torch.Generator().manual_seed(rng.getrandbits(62)))


def part_threads() -> ThreadPoolExecutor:
    """Threads that compute a part of the work each, all of its operations alone.

    Threads that share a single operation wait for each other at every one, which is slow when others need the cores.
    """
    return ThreadPoolExecutor(_THREADS, initializer=torch.set_num_threads, initargs=(1,))


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a stage learns. `averaging` is how much of the mean of the weights a step keeps, once it has warmed up."""

    name: str
    steps: int
    learning_rate: float
    weight_decay: float = 0.01
    averaging: float = 0.998


class Training(Generic[ModuleT]):
    """A module on its way: what it has learned so far stands in `folder`, and a new one goes on from there."""

    def __init__(self, module: ModuleT, recipe: Recipe, *, folder: Path, seed: int) -> None:
        self.module = module
        self.mean = copy.deepcopy(module).requires_grad_(False).eval()
        self.recipe = recipe
        self.step = 0
        self._seed = seed
        self._path = folder / f"{recipe.name}.pt"
        self._parameters = [parameter for parameter in module.parameters() if parameter.requires_grad]
        self._muon = Muon(parameter for parameter in self._parameters if is_matrix(parameter))
        self._adam = torch.optim.AdamW(
            [parameter for parameter in self._parameters if not is_matrix(parameter)],
            betas=(0.9, 0.99),
            weight_decay=0.0,
        )
        if self._path.exists():
            self._load()

    @property
    def is_done(self) -> bool:
        return self.step >= self.recipe.steps

    def run(self, loss: Callable[[Draw], Tensor], *, sheet: Callable[[], None] = lambda: None) -> None:
        """Go on to the last step. `loss` is that of a part of a batch, `sheet` shows what the mean weights can do."""
        line, saved_at = _Line(self.recipe), time.monotonic()
        with part_threads() as pool:
            while not self.is_done:
                draws = [draw(self._seed, self.recipe.name, self.step, part) for part in range(PARTS)]
                value = self._learn(list(pool.map(lambda each: self._gradients(loss(each)), draws)))
                self.step += 1
                line.show(self.step, value)
                if time.monotonic() - saved_at > _SAVE_EVERY_S or self.is_done:
                    self._save()
                    saved_at = time.monotonic()
                if self.step % _SHEET_EVERY == 0 or self.is_done:
                    sheet()

    def _gradients(self, loss: Tensor) -> tuple[float, tuple[Tensor | None, ...]]:
        return loss.item(), torch.autograd.grad(loss, self._parameters, allow_unused=True)

    def _learn(self, parts: Sequence[tuple[float, tuple[Tensor | None, ...]]]) -> float:
        """A step down the mean of the parts' gradients; answers the mean of their losses."""
        rate = self.recipe.learning_rate * self._share()
        for parameter, *gradients in zip(self._parameters, *(part[1] for part in parts), strict=True):
            given = [gradient for gradient in gradients if gradient is not None]
            parameter.grad = torch.stack(given).mean(dim=0) if given else None
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        for group in self._adam.param_groups:
            group["lr"] = rate
        self._adam.step()
        self._muon.step(rate, weight_decay=self.recipe.weight_decay)
        self._average()
        return sum(part[0] for part in parts) / len(parts)

    def _share(self) -> float:
        """Of the learning rate at this step: up at first, level, then down along a cosine."""
        left = (self.recipe.steps - self.step) / (_DECAY_SHARE * self.recipe.steps)
        return min(1.0, (self.step + 1) / _WARM_UP_STEPS) * 0.5 * (1.0 - math.cos(math.pi * min(1.0, left)))

    @torch.no_grad()
    def _average(self) -> None:
        keep = min(self.recipe.averaging, (1 + self.step) / (10 + self.step))
        for mean, parameter in zip(self.mean.parameters(), self.module.parameters(), strict=True):
            mean.lerp_(parameter, 1.0 - keep)

    def _save(self) -> None:
        """Beside and renamed, so that a run that dies leaves a whole file."""
        draft = self._path.with_suffix(".part")
        state = {
            "step": self.step,
            "module": self.module.state_dict(),
            "mean": self.mean.state_dict(),
            "adam": self._adam.state_dict(),
            "muon": self._muon.buffers,
        }
        torch.save(state, draft)
        draft.rename(self._path)

    def _load(self) -> None:
        state = torch.load(self._path, weights_only=True, map_location=next(self.module.parameters()).device)
        self.step = state["step"]
        self.module.load_state_dict(state["module"])
        self.mean.load_state_dict(state["mean"])
        self._adam.load_state_dict(state["adam"])
        self._muon.buffers = state["muon"]


class _Line:
    """The progress bar: the step, the loss as a running mean, the time that is left at this speed."""

    _WIDTH = 24

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self._started_at = time.monotonic()
        self._first: int | None = None
        self._loss = 0.0

    def show(self, step: int, loss: float) -> None:
        if self._first is None:
            self._first, self._loss = step - 1, loss
        self._loss += 0.02 * (loss - self._loss)
        pace_s = (time.monotonic() - self._started_at) / (step - self._first)
        left_s = pace_s * (self._recipe.steps - step)
        bar = "#" * (self._WIDTH * step // self._recipe.steps)
        end = "\n" if step % 50 == 0 or step == self._recipe.steps else ""
        sys.stderr.write(
            f"\r{self._recipe.name:12} [{bar:{self._WIDTH}}] {step}/{self._recipe.steps}  loss {self._loss:.4f}  "
            f"{pace_s:.2f} s a step, {left_s / 60:.0f} min left {end}"
        )
        sys.stderr.flush()
