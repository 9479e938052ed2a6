"""One holder at a time for a model of a shared volume, also where the file system has no locks that work.

A lock is a folder of numbered files. To take it is to create the file that follows the highest one, which a file
system does for one taker alone (O_EXCL), on NFS too; no number is given twice, so that who comes late with an old view
cannot take what somebody else has. The holder writes a counter into its file; a waiter that has seen the same counter
for LEASE_S on its own clock takes the holder for dead: no clocks are compared between machines. Files are opened anew
for every look, which is when network file systems ask their server.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from uuid import uuid4

from runtime.errors import StorageUnavailable

LEASE_S = 60.0
_BEAT_S = 10.0
_MARGIN_S = 15.0
_POLL_S = 0.2
_KEPT = 4  # what is older than the last few numbers nobody can still be looking at

_log = logging.getLogger(__name__)


class LockLost(Exception):
    """The holder could not write its counter for so long that others may take it for dead."""


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """What a holder writes: whether it still holds, its counter, and how its process is found on the same machine."""

    held: bool
    beat: int
    owner: str
    machine: str
    pid: int
    started: str

    def is_dead_here(self) -> bool:
        """Whether the holder was a process of this very machine and is gone: then nobody needs to wait."""
        return self.machine == machine_id() and process_start(self.pid) != self.started


class VolumeLock:
    """The lock in `folder`, which is made when it is first taken."""

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.monotonic, lease_s: float = LEASE_S) -> None:
        self._folder = folder
        self._clock = clock
        self._lease_s = lease_s

    @contextmanager
    def hold(self, wait: Callable[[float], None]) -> Iterator[HeldLock]:
        """Hold it, once whoever has it has let go or is dead. `wait(seconds)` waits, and may raise to give up.

        Raises StorageUnavailable where the volume cannot be written to.
        """
        watch = _Watch(self._clock, self._lease_s)
        while (held := self._attempt(watch)) is None:
            wait(_POLL_S)
        with held:
            yield held

    @contextmanager
    def hold_if_free(self) -> Iterator[HeldLock | None]:
        """Hold it if nobody does, else give None at once."""
        held = self._attempt(_Watch(self._clock, self._lease_s))
        if held is None:
            yield None
            return
        with held:
            yield held

    def _attempt(self, watch: _Watch) -> HeldLock | None:
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            number = max(self._numbers(), default=0)
            if number and not watch.is_over(number, _read(self._path(number))):
                return None
            return self._create(number + 1)
        except OSError as exc:
            raise StorageUnavailable(
                f"the models volume cannot be written to at {self._folder}: {exc.strerror}"
            ) from exc

    def _create(self, number: int) -> HeldLock | None:
        path = self._path(number)
        entry = _Entry(
            held=True,
            beat=0,
            owner=uuid4().hex,
            machine=machine_id(),
            pid=os.getpid(),
            started=process_start(os.getpid()) or "",
        )
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(_text(entry))
        except FileExistsError:
            return None
        numbers = self._numbers()
        if max(numbers) != number:  # the view that led here was old
            path.unlink()
            return None
        for old in numbers:
            if old < number - _KEPT:
                self._path(old).unlink(missing_ok=True)
        return HeldLock(path, entry, clock=self._clock, lease_s=self._lease_s)

    def _numbers(self) -> list[int]:
        return [int(name) for name in os.listdir(self._folder) if name.isdecimal()]

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:08}"


class _Watch:
    """What one waiter has seen of a holder, and since when."""

    def __init__(self, clock: Callable[[], float], lease_s: float) -> None:
        self._clock = clock
        self._lease_s = lease_s
        self._seen: tuple[object, ...] = ()
        self._since = 0.0

    def is_over(self, number: int, entry: _Entry | None) -> bool:
        if entry is not None and (not entry.held or entry.is_dead_here()):
            return True
        now = self._clock()
        seen = (number, entry)  # a file whose writer died before it wrote is None, and dead after a lease too
        if seen != self._seen:
            self._seen, self._since = seen, now
        return now - self._since >= self._lease_s


class HeldLock:
    """A lock that is held: its counter grows on a thread of its own until it is left."""

    def __init__(self, path: Path, entry: _Entry, *, clock: Callable[[], float], lease_s: float) -> None:
        self._path = path
        self._entry = entry
        self._clock = clock
        self._valid_s = lease_s * (1 - _MARGIN_S / LEASE_S)
        self._beat_s = lease_s * _BEAT_S / LEASE_S
        self._last_beat = clock()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._beat, name="volume-lock", daemon=True)

    def check(self) -> None:
        """Raise LockLost where others may have come to take this holder for dead."""
        if self._clock() - self._last_beat > self._valid_s:
            raise LockLost(f"{self._path} could not be renewed for {self._valid_s:g} s")

    def __enter__(self) -> HeldLock:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()
        with suppress(OSError):  # then it ends with the lease
            self._write(held=False)

    def _beat(self) -> None:
        while not self._ended.wait(self._beat_s):
            began = self._clock()
            try:
                self._write(held=True)
                self._last_beat = began
            except OSError as exc:
                _log.warning("the lock %s could not be renewed: %s", self._path, exc.strerror)

    def _write(self, *, held: bool) -> None:
        entry = self._entry
        self._entry = _Entry(**{**entry.__dict__, "held": held, "beat": entry.beat + 1})
        with self._path.open("r+", encoding="utf-8") as file:
            file.write(_text(self._entry))  # of one length always: no reader finds half of it longer
            file.flush()
            os.fsync(file.fileno())


def _text(entry: _Entry) -> str:
    return json.dumps({**entry.__dict__, "held": int(entry.held), "beat": f"{entry.beat:012}"})


def _read(path: Path) -> _Entry | None:
    """What the holder wrote; None where that is not whole."""
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        return _Entry(**{**fields, "held": bool(fields["held"]), "beat": int(fields["beat"])})
    except (OSError, ValueError, KeyError, TypeError):
        return None


@cache
def machine_id() -> str:
    """One process table: this boot of this kernel, and the process namespace of this container."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot}/{os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return f"{socket.gethostname()}/{uuid4().hex}"  # nobody else's: only the lease tells of its death


def process_start(pid: int) -> str | None:
    """When a process of this machine began, in its kernel's ticks; None where there is none or nothing tells."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]
