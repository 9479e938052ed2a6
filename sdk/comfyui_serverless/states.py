"""A job as a deployment tells of it, in one form whatever protocol told it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ENDED = ("completed", "failed", "cancelled", "timed_out")


@dataclass(frozen=True, kw_only=True)
class Progress:
    """Where a running job stands: `nodes_done` of `nodes_total` nodes, `step` of `steps` within the one that runs."""

    node_id: str | None = None
    class_type: str | None = None
    nodes_done: int = 0
    nodes_total: int = 0
    step: int = 0
    steps: int = 0

    @classmethod
    def of(cls, wire: Mapping[str, Any] | None) -> Progress | None:
        """The progress on the wire; None where there is none."""
        if not wire or "nodes_total" not in wire:
            return None
        return cls(**{name: wire[name] for name in cls.__dataclass_fields__ if wire.get(name) is not None})


@dataclass(frozen=True, kw_only=True)
class JobState:
    """A job at one moment. `revision` grows with each change where the deployment counts them, else it is 0.

    `wire` is the deployment's own answer about an ended job: its outputs, or its error.
    """

    job_id: str
    status: str
    revision: int = 0
    progress: Progress | None = None
    wire: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def has_ended(self) -> bool:
        return self.status in ENDED
