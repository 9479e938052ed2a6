"""What one graph may ask for on this deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runtime.diffusion.prompt import CHUNK, MAX_CHUNKS
from runtime.nodes.pictures import Pictures, tokens_in


@dataclass(frozen=True, kw_only=True)
class GraphLimits:
    """Upper bounds on one graph: `max_pixels` on one picture and on all pictures of one batch together."""

    max_nodes: int = 20_000
    max_pixels: int = 100_000_000
    max_batch: int = 256
    max_steps: int = 10_000

    def of_input(self, name: str, inputs: Mapping[str, Any]) -> tuple[float, str] | None:
        """The bound of an integer input by its name, and the setting that it follows from; None where there is none.

        `inputs` are the node's own: the bound of its `height` follows from its `width`, that of its `batch_size` from
        both.
        """
        if name not in _BOUNDED:
            return None
        if name == "steps":
            return self.max_steps, "MAX_STEPS"
        if name == "width":
            return self.max_pixels, "MAX_PIXELS"
        if name == "height":
            return self.max_pixels // _side(inputs.get("width")), "MAX_PIXELS / width"
        most = self.max_pixels // (_side(inputs.get("width")) * _side(inputs.get("height")))
        if 0 < most < self.max_batch:  # of 0, the height says that it is too much
            return most, "MAX_PIXELS / width / height"
        return self.max_batch, "MAX_BATCH"

    def refusal(self, values: Mapping[str, Any]) -> str | None:
        """Why a node may not be called with `values`, of which numbers that came by links are new; None if it may."""
        for name in _BOUNDED:
            value = values.get(name)
            limit = self.of_input(name, values) if isinstance(value, int) else None
            if limit is not None and value is not None and value > limit[0]:
                return f"is given a {name} of {value}; this deployment takes {limit[0]:g} ({limit[1]})"
        return None

    def refusal_of_conditioning(self, value: object) -> str | None:
        """Why a node may not make the conditioning `value`; None if it may, or if it is none.

        Each node of a chain may double its tokens or its prompts, so that a few dozen would take all memory there is.
        """
        tokens = tokens_in(value)
        if tokens <= _MOST_TOKENS:
            return None
        return f"makes a conditioning of {tokens} tokens; there may be {_MOST_TOKENS}, over all its prompts"

    def refusal_of_result(self, result: Pictures) -> str | None:
        """Why a node may not make `result`; None if it may."""
        area = result.width * result.height
        if area > self.max_pixels:
            return (
                f"makes a picture of {result.width}x{result.height}; this deployment takes {self.max_pixels} pixels "
                "(MAX_PIXELS)"
            )
        if area * result.batch > self.max_pixels:
            return (
                f"makes {result.batch} pictures of {result.width}x{result.height} at once; this deployment takes "
                f"{self.max_pixels} pixels in one batch (MAX_PIXELS)"
            )
        if result.batch > self.max_batch * _BATCH_SLACK:
            return (
                f"makes {result.batch} pictures at once; this deployment takes {self.max_batch * _BATCH_SLACK} "
                f"({_BATCH_SLACK} times MAX_BATCH)"
            )
        return None


_BOUNDED = ("width", "height", "batch_size", "steps")
_MOST_TOKENS = CHUNK * MAX_CHUNKS
_BATCH_SLACK = 16  # frames of a video are a batch too


def _side(value: object) -> int:
    """The number that an input will be read as; 1 where it is a link, no number or below 1."""
    try:
        return max(1, int(value)) if isinstance(value, int | float | str) else 1
    except (ValueError, OverflowError):
        return 1
