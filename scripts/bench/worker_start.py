"""Measure a cold RunPod worker: process start to the end of its first job, beside the imports that it needs.

    python -m scripts.bench.worker_start [--runs 5]

The job is an `EmptyImage` saved, given by the library's own `--test_input`. torch and runpod cost as much again as
everything else; the handler overlaps them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.bench import workflows
from scripts.bench.measure import interleaved, machine

_ROOT = Path(__file__).resolve().parents[2]
_IMPORTS = {"import torch": "import torch", "import runpod": "import runpod", "both in turn": "import runpod, torch"}


def main() -> None:
    """Print the medians."""
    parser = argparse.ArgumentParser(description="Measure a cold RunPod worker.")
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    job = json.dumps({"input": {"workflow": workflows.empty_image(7)}})
    commands = {name: [sys.executable, "-c", code] for name, code in _IMPORTS.items()}
    commands["worker, first job done"] = [sys.executable, "-m", "handlers.runpod_worker", "--test_input", job]
    with tempfile.TemporaryDirectory(prefix="bench-") as data:
        taken = interleaved({name: _Timed(command, data) for name, command in commands.items()}, arguments.runs)
    print(f"{machine()}\n\n| what | seconds, whole process |\n| --- | --- |")
    for name, seconds in taken.items():
        print(f"| {name} | {statistics.median(seconds):.2f} |")


class _Timed:
    """A command to be run and timed from start to exit."""

    def __init__(self, command: list[str], data: str) -> None:
        self._command = command
        kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
        self._env = {**kept, "STORAGE_BASE_PATH": data}

    def __call__(self) -> float:
        started = time.perf_counter()
        subprocess.run(self._command, check=True, capture_output=True, env=self._env, cwd=_ROOT)
        return time.perf_counter() - started


if __name__ == "__main__":
    main()
