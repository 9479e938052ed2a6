"""The live line of a running job: node, step of steps, time left."""

from __future__ import annotations

import shutil
import time
from typing import TextIO

from runtime.progress import Progress


class ProgressLine:
    """Drawn over itself on a terminal. `update` may be called from any thread, `draw` from the one that owns it."""

    def __init__(self, stream: TextIO, title: str, *, shown: bool) -> None:
        self._stream = stream
        self._title = title
        self._shown = shown
        self._progress: Progress | None = None
        self._step_times: tuple[str | None, float, int, float] = (None, 0.0, 0, 0.0)
        self._drawn = False

    def update(self, progress: Progress) -> None:
        """Take the job's latest progress."""
        now = time.monotonic()
        node_id, first_at, first_step, _ = self._step_times
        if node_id != progress.node_id or progress.step < first_step:
            self._step_times = (progress.node_id, now, progress.step, now)
        else:
            self._step_times = (node_id, first_at, first_step, now)
        self._progress = progress

    def draw(self, now: float) -> None:
        """Show where the job stands at `now`, on the monotonic clock."""
        if not self._shown:
            return
        width = shutil.get_terminal_size().columns
        self._stream.write(f"\r\x1b[K{self.text(now)[: width - 1]}")
        self._stream.flush()
        self._drawn = True

    def text(self, now: float) -> str:
        """The line itself."""
        progress = self._progress
        if progress is None:
            return f"{self._title}: starting"
        parts = [f"{self._title}: {progress.class_type} ({progress.node_id})"]
        parts.append(f"node {progress.nodes_done + 1} of {progress.nodes_total}")
        if progress.steps:
            parts.append(f"step {progress.step} of {progress.steps}")
            left = self._seconds_left(progress, now)
            parts += [f"{left:.0f} s left"] if left is not None else []
        return ", ".join(parts)

    def clear(self) -> None:
        """Take the line away."""
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def _seconds_left(self, progress: Progress, now: float) -> float | None:
        _, first_at, first_step, last_at = self._step_times
        made = progress.step - first_step
        if made <= 0:
            return None
        each = (last_at - first_at) / made
        return max(0.0, each * (progress.steps - progress.step) - (now - last_at))
