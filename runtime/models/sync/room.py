"""Room on the volume for a model that is to come: what was used longest ago goes first, what is in use never."""

from __future__ import annotations

import logging
import os
from collections.abc import Set
from contextlib import suppress
from pathlib import Path

from runtime.errors import StorageUnavailable
from runtime.models.sync.volume import USE_LEASE_S, Kept, Volume, allocated_bytes

_RESERVE_BYTES = 64 << 20  # left free for what else is written there

_log = logging.getLogger(__name__)


class Room:
    """Keeps the models of a volume within `limit_bytes` (None: what the file system holds)."""

    def __init__(self, volume: Volume, *, limit_bytes: int | None, pinned: Set[str]) -> None:
        self._volume = volume
        self._limit_bytes = limit_bytes
        self._pinned = pinned

    def make(self, size_bytes: int, *, part: Path, what: str) -> None:
        """Remove models until a file of `size_bytes` has room, of which `part` may hold some already.

        Only what was fetched is removed, and neither what is pinned nor what was in use within the last 15 minutes.
        Raises StorageUnavailable that says how much is lacking, and then no model has been removed.
        """
        if self._lacking(size_bytes, part) <= 0:
            return
        self._clear_leftovers(but=part)
        lacking = self._lacking(size_bytes, part)
        victims = self._victims()
        if sum(victim.size_bytes for victim in victims) < lacking:
            raise StorageUnavailable(
                f"{what} needs {_gb(size_bytes)} on the models volume {self._volume.root}, {_gb(lacking)} more than "
                f"there is room for, and models that are neither pinned nor in use hold "
                f"{_gb(sum(victim.size_bytes for victim in victims))}"
            )
        for victim in victims:
            if lacking > 0 and self._evict(victim):
                lacking -= victim.size_bytes
        if lacking > 0:
            raise StorageUnavailable(f"{what} found no room: models came into use while others were removed")

    def _lacking(self, size_bytes: int, part: Path) -> int:
        there = allocated_bytes(part.stat()) if part.exists() else 0
        lacking = size_bytes - there + _RESERVE_BYTES - self._volume.free_bytes(apart_from=part)
        if self._limit_bytes is not None:
            lacking = max(lacking, self._volume.used_bytes(apart_from=part) + size_bytes - self._limit_bytes)
        return lacking

    def _clear_leftovers(self, *, but: Path) -> None:
        """Remove what killed workers left and nobody came back for."""
        oldest = self._volume.now() - USE_LEASE_S
        for path, file in self._volume.leftovers():
            with self._volume.lock(path).hold_if_free() as held, suppress(FileNotFoundError):
                if held is not None and file != but and file.stat().st_mtime < oldest:
                    file.unlink()
                    _log.info("removed %s, which a worker that ended had left", file)

    def _victims(self) -> list[Kept]:
        """What may go, used longest ago first."""
        oldest_use = self._volume.now() - USE_LEASE_S
        may_go = [
            kept
            for kept in self._volume.kept()
            if not kept.pinned and kept.path not in self._pinned and kept.used_at < oldest_use
        ]
        return sorted(may_go, key=lambda kept: kept.used_at)

    def _evict(self, victim: Kept) -> bool:
        """Take it out of sight, look whether somebody began to use it meanwhile, and only then remove it.

        Who uses a model marks it first and looks whether it is there afterwards, so that either they miss it, and fetch
        it under the lock that is held here, or their mark is seen here.
        """
        with self._volume.lock(victim.path).hold_if_free() as held:
            if held is None:
                return False
            file = self._volume.file(victim.path)
            aside = file.with_name(f".{file.name}.evicted")
            try:
                os.replace(file, aside)
            except FileNotFoundError:
                return False
            if self._volume.used_at(victim.path) != victim.used_at:
                os.replace(aside, file)
                return False
            aside.unlink()
            self._volume.remove(victim.path)
        _log.info("removed %s from the volume to make room", victim.path)
        return True


def _gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.2f} GB"
