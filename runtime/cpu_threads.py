"""How torch uses the processors that this process really has: containers often show more than they give."""

from __future__ import annotations

import os
from pathlib import Path

_QUOTA = Path("/sys/fs/cgroup/cpu.max")


_SPINS = "30000"


def wait_briefly() -> None:
    """Let OpenMP's threads sleep when another keeps them waiting. To be called before torch is imported.

    They spin for some 50 microseconds, which is as fast as spinning on where the processors are ours alone. By default
    they spin for milliseconds, which makes a step tens of times slower where the processors are shared. Whoever sets
    OMP_WAIT_POLICY or GOMP_SPINCOUNT decides otherwise.
    """
    if "OMP_WAIT_POLICY" not in os.environ and "GOMP_SPINCOUNT" not in os.environ:
        os.environ.update(OMP_WAIT_POLICY="PASSIVE", GOMP_SPINCOUNT=_SPINS)


def thread_count(quota: Path = _QUOTA) -> int:
    """As many threads as this process may run at once: its processors, or its container's share of them."""
    processors = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        limit, period = quota.read_text(encoding="ascii").split()
        share = -(-int(limit) // int(period))
    except (OSError, ValueError):  # no such file, or `max`: there is no quota
        return processors
    return max(1, min(processors, share))
