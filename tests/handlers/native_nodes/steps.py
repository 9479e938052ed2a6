"""Nodes for tests of a worker: one that takes its time step by step, one that fails."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any, ClassVar

import torch

from runtime.nodes.protocol import CONTEXT, NodeContext


class TimedSteps:
    """Takes `steps` steps of `step_s` seconds, as a sampler does, and adds a line to `log` as each begins."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "take"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {
            "required": {
                "steps": ("INT", {"default": 4, "min": 1, "max": 100_000}),
                "step_s": ("FLOAT", {"default": 0.1, "min": 0.0, "max": 60.0}),
                "log": ("STRING", {"default": ""}),
            },
            "hidden": {"context": CONTEXT},
        }

    @classmethod
    def IS_CHANGED(cls, **inputs: Any) -> float:
        return float("nan")  # equal to nothing: never taken from the cache

    def take(self, steps: int, step_s: float, log: str, context: NodeContext) -> tuple[torch.Tensor]:
        for step in range(1, steps + 1):
            with Path(log).open("a", encoding="utf-8") as lines:
                lines.write(f"{step}\n")
            threading.Event().wait(step_s)
            context.step(step, steps)
        return (torch.zeros(1, 16, 16, 3),)


class Breaks:
    """Raises ValueError with `message`."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "fail"
    CATEGORY = "test"
    INPUT_TYPES: ClassVar[Any] = classmethod(lambda cls: {"required": {"message": ("STRING", {"default": "broken"})}})

    def fail(self, message: str, **_: Any) -> tuple[torch.Tensor]:
        raise ValueError(message)


NODE_CLASS_MAPPINGS = {"TimedSteps": TimedSteps, "Breaks": Breaks}
