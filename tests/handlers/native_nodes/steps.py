"""Nodes for tests of a worker: they take their time, never end, fail, or fill a result."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

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
    """Raises RuntimeError with `message`."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "fail"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"message": ("STRING", {"default": "broken"})}}

    def fail(self, message: str) -> tuple[torch.Tensor]:
        raise RuntimeError(message)


class Noise:
    """A square picture of `size` pixels that no encoding makes smaller."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "draw"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"size": ("INT", {"default": 64, "min": 1, "max": 10_000})}}

    def draw(self, size: int) -> tuple[torch.Tensor]:
        return (torch.rand(1, size, size, 3, generator=torch.Generator().manual_seed(0)),)


class Deaf:
    """Says in `log` that it began, and then neither ends nor looks whether it shall."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "wait"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"log": ("STRING", {"default": ""})}}

    def wait(self, log: str) -> tuple[torch.Tensor]:
        Path(log).touch()
        threading.Event().wait()
        return (torch.zeros(1, 16, 16, 3),)


class Kills:
    """Ends the process at once, as running out of memory does."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "kill"
    CATEGORY = "test"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {}}

    def kill(self) -> tuple[torch.Tensor]:
        os.kill(os.getpid(), signal.SIGKILL)
        return (torch.zeros(1, 16, 16, 3),)


NODE_CLASS_MAPPINGS = {"Deaf": Deaf, "Kills": Kills, "TimedSteps": TimedSteps, "Breaks": Breaks, "Noise": Noise}
