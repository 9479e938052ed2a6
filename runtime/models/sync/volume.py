"""The models folder as many workers share it: what lies there, what is known of it, and when it was last used.

Beside the models lies `.volume/`: for each of them a record (what was fetched, with its hash; its time is that of the
last use) and a lock. Only a file with such a record was fetched, and only what was fetched is removed to make room.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from runtime.errors import StorageUnavailable
from runtime.models.sync.lock import VolumeLock

USE_LEASE_S = 900.0
"""How long after its last use a model counts as in use: a job touches what it uses more often than that."""
LEFTOVER_SUFFIXES = (".part", ".evicted")
_STATE = ".volume"


@dataclass(frozen=True, kw_only=True)
class Record:
    """What is known of a file that was fetched or hashed here, as long as it is the same file."""

    sha256: str
    size_bytes: int
    mtime_ns: int
    source: str
    fetched: bool
    pinned: bool = False


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A fetched file on the volume. `used_at` is by the volume's own clock."""

    path: str
    size_bytes: int
    used_at: float
    pinned: bool


class Volume:
    """Paths are below the models folder, `checkpoints/a.safetensors`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def file(self, path: str) -> Path:
        return self.root / path

    def lock(self, path: str) -> VolumeLock:
        return VolumeLock(self.root / _STATE / "locks" / path)

    def size(self, path: str) -> int | None:
        """The size of a model that is there, None where it is not."""
        try:
            return self.file(path).stat().st_size
        except OSError:
            return None

    def record(self, path: str) -> Record | None:
        """What is known of the file at `path`; None of one that has changed since, or was put there by hand."""
        try:
            record = Record(**json.loads(self._record_path(path).read_text(encoding="utf-8")))
            status = self.file(path).stat()
        except (OSError, ValueError, TypeError):
            return None
        return record if (status.st_size, status.st_mtime_ns) == (record.size_bytes, record.mtime_ns) else None

    def remember(self, path: str, *, sha256: str, source: str, fetched: bool, pinned: bool = False) -> None:
        """Note what the file at `path` is. Where that cannot be written, nothing is lost but the note.

        What was fetched is in use from then on; to hash what lies there is no use of it.
        """
        status = self.file(path).stat()
        record = Record(
            sha256=sha256,
            size_bytes=status.st_size,
            mtime_ns=status.st_mtime_ns,
            source=source,
            fetched=fetched,
            pinned=pinned,
        )
        target = self._record_path(path)
        beside = target.with_name(f"{target.name}.{os.getpid()}.new")
        used_at = self.used_at(path) if self.record(path) else None
        with suppress(OSError):
            target.parent.mkdir(parents=True, exist_ok=True)
            beside.write_text(json.dumps(asdict(record)), encoding="utf-8")
            if used_at is not None:
                os.utime(beside, (used_at, used_at))
            os.replace(beside, target)

    def touch(self, path: str) -> None:
        """The model is in use now. Of a volume that cannot be written to nobody removes anything either."""
        with suppress(OSError):
            os.utime(self._record_path(path))

    def now(self) -> float:
        """The time by the clock that stamps files here, which on a network volume is the server's."""
        clock = self.root / _STATE / f"clock.{os.getpid()}"
        try:
            clock.parent.mkdir(parents=True, exist_ok=True)
            clock.write_bytes(b"")
            return clock.stat().st_mtime
        except OSError as exc:
            raise _unwritable(self.root, exc) from exc
        finally:
            with suppress(OSError):
                clock.unlink()

    def kept(self) -> Iterator[Kept]:
        """Every file here that was fetched and is still what was fetched."""
        records = self.root / _STATE / "records"
        for found in sorted(records.rglob("*.json")):
            path = found.relative_to(records).as_posix().removesuffix(".json")
            record = self.record(path)
            if record is not None and record.fetched:
                with suppress(OSError):
                    used_at = found.stat().st_mtime
                    yield Kept(path=path, size_bytes=record.size_bytes, used_at=used_at, pinned=record.pinned)

    def used_bytes(self, *, apart_from: Path) -> int:
        """What all files below the folder take, and those will that are on their way."""
        return sum(status.st_size for file, status in self._files() if file != apart_from)

    def free_bytes(self, *, apart_from: Path) -> int:
        """What the file system has left beyond what the files that are on their way will still take.

        It is the one that `apart_from` lies on: a folder of models may be a link to another disk.
        """
        outstanding = sum(
            max(0, status.st_size - allocated_bytes(status))
            for file, status in self._files()
            if file.name.startswith(".") and file.name.endswith(".part") and file != apart_from
        )
        there = next(folder for folder in (apart_from.parent, *apart_from.parents, self.root) if folder.exists())
        return shutil.disk_usage(there).free - outstanding

    def leftovers(self) -> Iterator[tuple[str, Path]]:
        """Files that a killed worker may have left half fetched or half removed, each with its model's path."""
        for file, _ in self._files():
            if file.name.startswith(".") and file.suffix in LEFTOVER_SUFFIXES:
                yield file.with_name(file.stem[1:]).relative_to(self.root).as_posix(), file

    def remove(self, path: str) -> None:
        """Remove the file and what is known of it. The caller holds its lock."""
        self.file(path).unlink(missing_ok=True)
        self._record_path(path).unlink(missing_ok=True)

    def used_at(self, path: str) -> float | None:
        try:
            return self._record_path(path).stat().st_mtime
        except OSError:
            return None

    def _record_path(self, path: str) -> Path:
        return self.root / _STATE / "records" / f"{path}.json"

    def _files(self) -> Iterator[tuple[Path, os.stat_result]]:
        for folder, folders, names in os.walk(self.root):
            if _STATE in folders:
                folders.remove(_STATE)
            for name in names:
                if name.startswith(".") and not name.endswith(LEFTOVER_SUFFIXES):
                    continue  # a journal, and what is no model's
                file = Path(folder, name)
                with suppress(OSError):
                    yield file, file.lstat()


def allocated_bytes(status: os.stat_result) -> int:
    """What a file takes on the disk, its holes apart."""
    return status.st_blocks * 512


def _unwritable(root: Path, exc: OSError) -> StorageUnavailable:
    return StorageUnavailable(f"the models volume {root} cannot be written to: {exc.strerror or exc}")
