"""How torch uses the processors that this process really has: containers often show more than they give."""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def thread_count(quota: Path = _QUOTA) -> int:
    """As many threads as this process may run at once: its processors, or its container's share of them."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit, period = quota.read_text(encoding="ascii").split()
        share = -(-int(limit) // int(period))
    except (OSError, ValueError):  # no such file, or `max`: there is no quota
        return processors
    return max(1, min(processors, share))
