"""Marks on the volume that say which models this process uses, so that no other worker removes them to make room."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from runtime.models.sync.volume import USE_LEASE_S, Volume

_TOUCH_EVERY_S = USE_LEASE_S / 3


class Users:
    """Touches the record of every model in use when its use begins, every five minutes of it, and when it ends.

    `held` names what else is in use: the models that are kept in memory and may still be read from their files.
    """

    def __init__(self, volume: Volume, *, held: Callable[[], Sequence[str]] = tuple) -> None:
        self._volume = volume
        self._held = held
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
        with self._lock:
            self._used.update(paths)
            if self._thread is None:
                self._thread = threading.Thread(target=self._touch_all, name="model-use", daemon=True)
                self._thread.start()
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

    def _touch_all(self) -> None:
        while not self._ended.wait(_TOUCH_EVERY_S):
            with self._lock:
                used = list(self._used)
            self._touch([*used, *self._held()])

    def _touch(self, paths: Sequence[str]) -> None:
        for path in dict.fromkeys(paths):
            self._volume.touch(path)
