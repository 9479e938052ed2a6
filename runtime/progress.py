"""What a job tells of itself while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a job stands: `nodes_done` of `nodes_total` nodes, `step` of `steps` inside the node that runs now."""

    node_id: str | None = None
    class_type: str | None = None
    nodes_done: int = 0
    nodes_total: int = 0
    step: int = 0
    steps: int = 0

    def to_wire(self) -> dict[str, str | int | None]:
        """The form that the job's item and the platforms' progress updates carry."""
        return {
            "node_id": self.node_id,
            "class_type": self.class_type,
            "nodes_done": self.nodes_done,
            "nodes_total": self.nodes_total,
            "step": self.step,
            "steps": self.steps,
        }


ProgressSink = Callable[[Progress], None]


def ignore_progress(progress: Progress) -> None:
    """A sink for nobody."""
