"""What a job tells of itself while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

LONGEST_PREVIEW_SIDE = 512
MOST_PREVIEW_BYTES = 100_000


@dataclass(frozen=True, kw_only=True)
class Preview:
    """A rough picture of what a node is at: a JPEG, no larger than the two bounds above."""

    data: bytes = field(repr=False)
    width: int
    height: int


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a job stands: `nodes_done` of `nodes_total` nodes, `step` of `steps` inside the node that runs now.

    `preview` is there where the request asked for `previews`, at most once a second; no record or wire form holds it.
    """

    node_id: str | None = None
    class_type: str | None = None
    nodes_done: int = 0
    nodes_total: int = 0
    step: int = 0
    steps: int = 0
    preview: Preview | None = None

    def without_preview(self) -> Progress:
        """The same without the picture, as it is recorded."""
        return self if self.preview is None else replace(self, preview=None)

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
