"""What one graph may ask for on this deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class GraphLimits:
    """Upper bounds on one graph; a request over one is refused before anything runs."""

    max_nodes: int = 20_000
    max_pixels: int = 100_000_000
    max_batch: int = 256
    max_steps: int = 10_000

    def of_input(self, name: str, inputs: Mapping[str, Any]) -> tuple[float, str] | None:
        """The bound of an integer input by its name, and the setting that holds it; None where there is none.

        `inputs` are the node's own: the bound of its `height` follows from its `width`.
        """
        if name not in _BOUNDED:
            return None
        if name == "steps":
            return self.max_steps, "MAX_STEPS"
        if name == "width":
            return self.max_pixels, "MAX_PIXELS"
        if name == "height":
            return self.max_pixels // max(1, _integer(inputs.get("width"))), "MAX_PIXELS"
        return self.max_batch, "MAX_BATCH"


_BOUNDED = frozenset({"width", "height", "steps", "batch_size", "amount"})


def _integer(value: object) -> int:
    """The number that an input will be read as; 1 where it is a link or no number."""
    try:
        return int(value) if isinstance(value, int | float | str) else 1
    except (ValueError, OverflowError):
        return 1
