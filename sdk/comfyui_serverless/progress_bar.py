"""How far a job is, for whoever watches: tqdm's bar on a terminal, its widget in a notebook, else a line."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from comfyui_serverless.states import JobState

Show = Callable[[JobState], None]


@contextmanager
def progress_bar(job_id: str) -> Iterator[Show]:
    """Within the block, each state that is shown moves the bar; behind it the bar is gone, the last line stays."""
    try:
        from tqdm.auto import tqdm
    except ModuleNotFoundError:
        yield _line
        print(file=sys.stderr)
        return
    with tqdm(desc=job_id, total=1.0, bar_format="{desc}: {percentage:3.0f}%|{bar}| {elapsed}{postfix}") as bar:
        yield lambda state: _move(bar, state)


def done_share(state: JobState) -> float:
    """How much of the job is done, from 0 to 1: a node counts by its steps."""
    if state.status == "completed":
        return 1.0
    progress = state.progress
    if progress is None or not progress.nodes_total:
        return 0.0
    step = progress.step / progress.steps if progress.steps else 0.0
    return min(1.0, (progress.nodes_done + step) / progress.nodes_total)


def _move(bar: Any, state: JobState) -> None:
    bar.n = done_share(state)
    bar.set_postfix_str(_told(state), refresh=True)


def _line(state: JobState) -> None:
    print(f"\r\x1b[K{state.job_id}: {done_share(state):4.0%} {_told(state)}", end="", file=sys.stderr, flush=True)


def _told(state: JobState) -> str:
    progress = state.progress
    if progress is None or state.has_ended or not progress.class_type:
        return state.status
    return f"{progress.class_type} {progress.step}/{progress.steps}" if progress.steps else progress.class_type
