"""A file that is on its way: the bytes that came, and a journal of which ranges of it are whole."""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

RANGE_BYTES = 8 << 20


@dataclass(frozen=True, kw_only=True)
class Content:
    """What a source promises to send: only a part of the very same content is gone on with.

    `validator` is the source's own mark of this version of the file (an ETag, a time), empty where it has none.
    """

    source: str
    size_bytes: int
    validator: str
    range_bytes: int = RANGE_BYTES


class PartFile:
    """`.NAME.part` beside a file that is not there yet, and its journal `.NAME.journal`.

    The journal is a line for the content and one for each range that is whole. It is no promise that the bytes are on
    the disk, which a crash of the machine may break: the hash of the whole file decides.
    """

    def __init__(self, target: Path) -> None:
        self.path = target.with_name(f".{target.name}.part")
        self._journal_path = target.with_name(f".{target.name}.journal")
        self._target = target
        self._lock = threading.Lock()
        self._file: BinaryIO | None = None
        self._journal: BinaryIO | None = None
        self._done: set[int] = set()
        self._content: Content | None = None
        self.resumed_bytes = 0
        """What a former process had fetched already."""

    def begin(self, content: Content) -> None:
        """Open it for `content`, with the ranges that a former process finished of it, else from nothing."""
        self.close()
        done = self._former_ranges(content)
        if not done:
            self.discard()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._content, self._done = content, done
        self._file = self.path.open("r+b" if done else "x+b")
        self._file.truncate(content.size_bytes)
        self._write_journal(content, done)
        self._journal = self._journal_path.open("ab", buffering=0)
        self.resumed_bytes = sum(end - start for start, end in map(self._span, done))

    def missing(self) -> Iterator[tuple[int, int]]:
        """First byte and end of every range that is not whole, in order."""
        content = self._begun()
        count = -(-content.size_bytes // content.range_bytes)
        return (self._span(index) for index in range(count) if index not in self._done)

    def write(self, offset: int, data: bytes) -> None:
        """Put `data` at `offset`; of several threads each has its own range."""
        view = memoryview(data)
        while view:
            written = os.pwrite(self._open().fileno(), view, offset)
            view, offset = view[written:], offset + written

    def finish(self, start: int) -> None:
        """The range that begins at `start` is whole."""
        index = start // self._begun().range_bytes
        with self._lock:
            self._done.add(index)
            if self._journal is not None:
                self._journal.write(b"%d\n" % index)

    def whole_up_to(self, offset: int) -> int:
        """The end of what is whole without a gap from `offset` on, which is such an end itself."""
        content = self._begun()
        with self._lock:
            while offset < content.size_bytes and offset // content.range_bytes in self._done:
                offset = self._span(offset // content.range_bytes)[1]
        return offset

    def read(self, offset: int, size: int) -> bytes:
        return os.pread(self._open().fileno(), size, offset)

    def publish(self) -> None:
        """Give the file its name, once its bytes are on the disk. It is seen whole from then on, and never before."""
        os.fsync(self._open().fileno())
        self.close()
        os.chmod(self.path, 0o644)
        os.replace(self.path, self._target)
        _sync_folder(self._target.parent)
        self._journal_path.unlink(missing_ok=True)

    def discard(self) -> None:
        """Remove what came: a next attempt begins with a new file, that no writer of the old one still has open."""
        self.close()
        self._journal_path.unlink(missing_ok=True)
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        for file in (self._journal, self._file):
            if file is not None:
                file.close()
        self._journal = self._file = None

    def _span(self, index: int) -> tuple[int, int]:
        content = self._begun()
        start = index * content.range_bytes
        return start, min(start + content.range_bytes, content.size_bytes)

    def _former_ranges(self, content: Content) -> set[int]:
        """The ranges of `content` that the journal has; a line that a kill cut off counts for nothing."""
        try:
            first, *lines = self._journal_path.read_bytes().split(b"\n")[:-1]
            is_same = json.loads(first) == asdict(content) and self.path.stat().st_size == content.size_bytes
        except (OSError, ValueError):
            return set()
        count = -(-content.size_bytes // content.range_bytes)
        return {int(line) for line in lines if line.isdigit() and int(line) < count} if is_same else set()

    def _write_journal(self, content: Content, done: set[int]) -> None:
        lines = [json.dumps(asdict(content)), *map(str, sorted(done))]
        beside = self._journal_path.with_suffix(".new")
        beside.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        os.replace(beside, self._journal_path)

    def _begun(self) -> Content:
        if self._content is None:
            raise RuntimeError("the part file was not begun")
        return self._content

    def _open(self) -> BinaryIO:
        if self._file is None:
            raise RuntimeError("the part file is closed")
        return self._file


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        pass  # some network file systems take no fsync of a folder; the rename itself has happened
    finally:
        os.close(descriptor)
