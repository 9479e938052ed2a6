"""How transfers are shown: bars with rate and time left on a terminal, plain lines elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, TextIO

from runtime.models.sync.syncer import Transfer

if TYPE_CHECKING:
    from rich.progress import TaskID

_LINE_EVERY_S = 10.0


class TransferView(Protocol):
    """Shows transfers from any thread while it is entered."""

    def __enter__(self) -> TransferView: ...

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def watch(self, transfer: Transfer) -> None: ...

    def say(self, line: str) -> None:
        """Write a line that stays."""


def open_view(stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> TransferView:
    """The view that suits `stream`."""
    return _Bars(stream) if stream.isatty() else _Lines(stream, clock)


class _Bars:
    def __init__(self, stream: TextIO) -> None:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}
        self._progress = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            DownloadColumn(),
            TransferSpeedColumn(),
            TimeRemainingColumn(),
            console=Console(file=stream, highlight=False),
        )

    def __enter__(self) -> _Bars:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def watch(self, transfer: Transfer) -> None:
        with self._lock:
            if transfer.path not in self._tasks:
                self._tasks[transfer.path] = self._progress.add_task(transfer.path, total=transfer.total_bytes)
        note = " (another worker fetches it)" if transfer.waiting else ""
        self._progress.update(
            self._tasks[transfer.path],
            description=transfer.path + note,
            completed=transfer.done_bytes,
            total=transfer.total_bytes,
        )

    def say(self, line: str) -> None:
        self._progress.console.print(line, markup=False, soft_wrap=True)


class _Lines:
    """One line a model every ten seconds, and one when it waits or is whole."""

    def __init__(self, stream: TextIO, clock: Callable[[], float]) -> None:
        self._stream = stream
        self._clock = clock
        self._lock = threading.Lock()
        self._began: dict[str, tuple[float, int]] = {}
        self._due: dict[str, float] = {}
        self._waiting: set[str] = set()

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *_: object) -> None:
        """Every line is written already."""

    def watch(self, transfer: Transfer) -> None:
        with self._lock:
            if transfer.waiting:
                if transfer.path not in self._waiting:
                    self._waiting.add(transfer.path)
                    self._write(f"{transfer.path}: another worker fetches it")
                return
            now = self._clock()
            began, first = self._began.setdefault(transfer.path, (now, transfer.done_bytes))
            if now >= self._due.get(transfer.path, 0.0):
                self._due[transfer.path] = now + _LINE_EVERY_S
                rate = (transfer.done_bytes - first) / (now - began) if now > began else 0.0
                self._write(f"{transfer.path}: {_progress(transfer, rate)}")

    def say(self, line: str) -> None:
        with self._lock:
            self._write(line)

    def _write(self, line: str) -> None:
        print(line, file=self._stream, flush=True)


def _progress(transfer: Transfer, rate: float) -> str:
    total = transfer.total_bytes
    text = f"{size(transfer.done_bytes)} of {size(total)}"
    if rate > 0 and total is not None:
        text += f", {size(int(rate))}/s, {(total - transfer.done_bytes) / rate:.0f} s left"
    return text


def size(size_bytes: int | None) -> str:
    """A size for people: 1 GB is 1e9 bytes."""
    if size_bytes is None:
        return "unknown size"
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size_bytes >= scale:
            return f"{size_bytes / scale:.2f} {unit}"
    return f"{size_bytes} B"
