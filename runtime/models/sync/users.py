"""Marks on the volume that say which models this process uses, so that no other worker removes them to make room."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from runtime.models.sync.volume import USE_LEASE_S, Volume

_TOUCH_EVERY_S = USE_LEASE_S / 3


class Users:
    """Touches the record of every model in use when its use begins, every five minutes of it, and when it ends.

    In use as well, between jobs, is a model whose file is mapped into this process: on a network volume its pages
    would be gone with the file.
    """

    def __init__(self, volume: Volume, *, touch_every_s: float = _TOUCH_EVERY_S) -> None:
        self._volume = volume
        self._touch_every_s = touch_every_s
        self._lock = threading.Lock()
        self._used: Counter[str] = Counter()
        self._thread: threading.Thread | None = None
        self._ended = threading.Event()

    @contextmanager
    def using(self, paths: Sequence[str]) -> Iterator[None]:
        """Within it, the models at `paths` are in use. The mark is made before anybody looks for the file."""
        if not paths:
            yield
            return
        self._begin(paths)
        self._touch(paths)
        try:
            yield
        finally:
            self._touch(paths)
            with self._lock:
                self._used.subtract(paths)
                self._used = +self._used

    def close(self) -> None:
        """End the thread, if there is one."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join()

    def _begin(self, paths: Sequence[str]) -> None:
        with self._lock:
            self._used.update(paths)
            if self._thread is None:
                self._thread = threading.Thread(target=self._touch_all, name="model-use", daemon=True)
                self._thread.start()

    def _touch_all(self) -> None:
        while not self._ended.wait(self._touch_every_s):
            with self._lock:
                used = list(self._used)
            self._touch([*used, *mapped_paths(self._volume.root)])

    def _touch(self, paths: Sequence[str]) -> None:
        for path in dict.fromkeys(paths):
            self._volume.touch(path)


def mapped_paths(root: Path) -> list[str]:
    """The files below `root` that are mapped into this process, as paths below it; none where nothing tells."""
    prefix = f"{os.path.realpath(root)}/"
    try:
        maps = Path("/proc/self/maps").read_text(errors="surrogateescape")
    except OSError:
        return []
    files = {line.split(maxsplit=5)[5] for line in maps.splitlines() if prefix in line}
    return sorted(file.removeprefix(prefix) for file in files if file.startswith(prefix))
