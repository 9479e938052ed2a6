"""How figures are taken: medians of interleaved runs, and the machine they were taken on."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured number, its bound, and what it was measured beside in the same run."""

    name: str
    value: float
    unit: str
    bound: str
    holds: bool
    beside: str

    def row(self) -> str:
        """The figure as a line of a Markdown table."""
        verdict = "yes" if self.holds else "**no**"
        return f"| {self.name} | {self.value:.3g} {self.unit} | {self.bound} | {verdict} | {self.beside} |"


def print_table(figures: Iterable[Figure]) -> int:
    """Print the machine, then each figure as soon as it is there; the exit status is 1 where one is over its bound."""
    print(f"{machine()}\n")
    print("| what | measured | bound | holds | beside it, in the same run |\n| --- | --- | --- | --- | --- |")
    hold = True
    for figure in figures:
        print(figure.row(), flush=True)
        hold &= figure.holds
    return 0 if hold else 1


def median_seconds(function: Callable[[int], object], runs: int) -> float:
    """The median time of `function(run)` over `runs` runs after one that is not counted."""
    function(-1)
    times = []
    for run in range(runs):
        started = time.perf_counter()
        function(run)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def seconds_to_first_line(command: Sequence[str], env: Mapping[str, str] | None = None) -> float:
    """From the start of a process until it has printed its first line. Raises where it prints none."""
    started = time.perf_counter()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(env or os.environ)) as process:
        line = process.stdout.readline() if process.stdout else ""
        seconds = time.perf_counter() - started
    if not line or process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} ended with {process.returncode} and printed {line!r}")
    return seconds


def interleaved(commands: Mapping[str, Callable[[], float]], runs: int) -> dict[str, list[float]]:
    """Each command's figures over `runs` rounds in which they take turns, after a round that is not counted."""
    for command in commands.values():
        command()
    figures: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(runs):
        for name, command in commands.items():
            figures[name].append(command())
    return figures


def peak_bytes(command: Sequence[str], env: Mapping[str, str]) -> int:
    """The most memory that a process of its own held at once, its libraries included."""
    code = (
        "import resource, subprocess, sys; subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL);"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    meter = [sys.executable, "-c", code, *command]
    answer = subprocess.run(meter, check=True, capture_output=True, text=True, env=dict(env))
    return int(answer.stdout) * 1024


def machine() -> str:
    """The machine in a line."""
    import torch

    device = torch.cuda.get_device_name() if torch.cuda.is_available() else _processor()
    return f"{device}, {os.cpu_count()} cores, Python {platform.python_version()}, PyTorch {torch.__version__}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")
