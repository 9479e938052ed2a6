"""What `models ls` prints."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence

from runtime.commands.transfer_view import size
from runtime.models.sync.inventory import Item

_HEADINGS = ("STATE", "SIZE", "USED", "MODEL", "")


def table(items: Sequence[Item], now: float) -> Iterator[str]:
    """One line a model under headings; `now` in seconds since the epoch."""
    rows = [_HEADINGS, *(_row(item, now) for item in items)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADINGS))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
    there = [item for item in items if item.state not in ("absent", "partial")]
    yield f"{len(there)} of {len(items)} on the volume, {size(sum(item.size_bytes or 0 for item in there))}"


def json_lines(items: Sequence[Item]) -> Iterator[str]:
    """One JSON object a model."""
    return (json.dumps(item.to_wire()) for item in items)


def _row(item: Item, now: float) -> tuple[str, ...]:
    shown = item.size_bytes if item.state != "absent" else item.wanted_bytes
    marks = [*(["pinned"] if item.pinned else []), *([f"preload {item.preload}"] if item.preload else [])]
    return item.state, "" if shown is None else size(shown), _ago(item.used_at, now), item.path, ", ".join(marks)


def _ago(used_at: float | None, now: float) -> str:
    if used_at is None:
        return ""
    seconds = max(0.0, now - used_at)
    for unit, scale in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= scale:
            return f"{seconds / scale:.0f} {unit} ago"
    return "now"
