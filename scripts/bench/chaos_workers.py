"""The worker processes of the chaos run: started, killed, replaced, and asked what they do where nothing moves."""

from __future__ import annotations

import contextlib
import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PLATFORMS = ("sqs", "runpod")
_TAIL_LINES = 40


@dataclass(frozen=True, kw_only=True)
class _Worker:
    name: str
    platform: str
    process: subprocess.Popen[bytes]
    log: Path


class Workers:
    """As many as were started; `environment` gives a new one's variables, by its platform and name."""

    def __init__(self, folder: Path, environment: Callable[[str, str], Mapping[str, str]], draw: random.Random) -> None:
        self._folder = folder
        self._environment = environment
        self._draw = draw
        self._running: list[_Worker] = []
        self.started = 0
        self.signals: Counter[str] = Counter()
        numbers = (signal.SIGTERM, signal.SIGKILL)
        self._kills = itertools.cycle(
            [(platform, number) for number in numbers for platform in draw.sample(PLATFORMS, 2)]
        )

    def start(self, platform: str) -> None:
        self.started += 1
        name = f"{platform}-{self.started}"
        path = self._folder / f"{name}.log"
        with path.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "scripts.bench.fast_clock", platform],
                cwd=ROOT, env=self._environment(platform, name), stdout=log, stderr=log, start_new_session=True,
            )  # fmt: skip
        self._running.append(_Worker(name=name, platform=platform, process=process, log=path))

    def kill_one(self) -> None:
        """Each platform's and each signal's turn comes as often."""
        platform, number = next(self._kills)
        worker = self._draw.choice([worker for worker in self._running if worker.platform == platform])
        self.signals[number.name] += 1
        if number is signal.SIGKILL:
            _kill(worker.process)
        else:
            worker.process.send_signal(number)

    def replace_dead(self) -> None:
        for worker in [worker for worker in self._running if worker.process.poll() is not None]:
            _kill(worker.process)  # what it left of children
            self._running.remove(worker)
            self.start(worker.platform)

    def end(self) -> None:
        for worker in self._running:
            _kill(worker.process)

    def states(self) -> Iterator[str]:
        """What each is at: the end of its log, with the stacks of its threads."""
        for worker in self._running:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.process.pid, signal.SIGUSR1)
        time.sleep(1.0)
        for worker in self._running:
            lines = worker.log.read_text(errors="replace").splitlines()[-_TAIL_LINES:]
            yield "\n    ".join([f"worker {worker.name}, exit status {worker.process.poll()}:", *lines])


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the worker and its children, as the loss of a container does."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
