"""What one graph may ask for on this deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runtime.graph.workflow import Node


@dataclass(frozen=True, kw_only=True)
class GraphLimits:
    """Upper bounds on one graph; a request over one is refused before anything runs."""

    max_nodes: int = 20_000
    max_pixels: int = 100_000_000
    max_batch: int = 256
    max_steps: int = 10_000

    def of_input(self, name: str, node: Node) -> tuple[float, str] | None:
        """The bound of an integer input by its name, and the setting that holds it; None where there is none."""
        if name in _BATCH_INPUTS:
            return self.max_batch, "MAX_BATCH"
        if name == "steps":
            return self.max_steps, "MAX_STEPS"
        if name == "height":
            return self.max_pixels // max(1, _integer(node.inputs, "width")), "MAX_PIXELS"
        return (self.max_pixels, "MAX_PIXELS") if name == "width" else None


_BATCH_INPUTS = frozenset({"batch_size", "amount"})


def _integer(inputs: Mapping[str, object], name: str) -> int:
    value = inputs.get(name)
    return value if type(value) is int else 1
