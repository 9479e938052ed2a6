"""What is left of the machine's memory, or of the container's."""

from __future__ import annotations

from pathlib import Path

_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")


def free_ram_bytes(*, proc: Path = _PROC, cgroup: Path = _CGROUP) -> int:
    """What new models may take, by the kernel's estimate and the container's limit; a tenth of all is left alone."""
    facts = dict(line.split(":") for line in (proc / "meminfo").read_text(encoding="ascii").splitlines())
    total, available = (int(facts[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    try:
        limit = int((cgroup / "memory.max").read_text())
        used = int((cgroup / "memory.current").read_text())
        cached = dict(line.split() for line in (cgroup / "memory.stat").read_text().splitlines())["inactive_file"]
    except (OSError, ValueError, KeyError):  # no container, or one without a limit
        return max(0, available - total // 10)
    return max(0, min(available, limit - used + int(cached)) - min(total, limit) // 10)
