"""What `run` says of a job that has ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from runtime.result import JobResult, Timings


def report_lines(title: str, result: JobResult, placed: Mapping[str, Path]) -> Iterator[str]:
    """Where the pictures are, their links, and how long each part took; or why there are none."""
    yield f"{title}: {result.status} (job {result.job_id})"
    if result.error is not None:
        yield f"  {result.error.code}: {result.error.message}"
    for output in result.outputs:
        if output.text is not None:
            yield f"  text     {output.text}"
        elif output.key is not None and output.key in placed:
            yield f"  {output.kind:9}{placed[output.key]}"
            yield f"  link     {output.url}"
        elif output.temporary:
            yield f"  preview  {output.url}"
    for warning in result.warnings:
        yield f"  warning  {warning}"
    if result.status == "completed":
        yield f"  took     {_timings(result.timings_ms)}"


def _timings(timings: Timings) -> str:
    parts = {"load": timings.load, "execute": timings.execute, "deliver": timings.deliver}
    shown = ", ".join(f"{name} {ms / 1000:.2f} s" for name, ms in parts.items())
    return f"{timings.total / 1000:.2f} s ({shown})"
