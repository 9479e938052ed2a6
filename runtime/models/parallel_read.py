"""Large reads of one file on several threads, past the page cache where the file system lets them."""

from __future__ import annotations

import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import TracebackType

from runtime.errors import ModelCorrupt

PAGE_BYTES = 4096
"""What places, sizes and memory are multiples of, so that reads may go past the page cache."""

CHUNK_BYTES = 4 * 1024 * 1024
THREADS = 16


class ParallelFile:
    """An open file that is read by many threads at once; a context manager.

    With `direct` the device writes straight into the reader's memory (O_DIRECT). Where the file system refuses that
    (FUSE, gVisor, overlays), reads go through the page cache as others do.
    """

    def __init__(self, path: Path, file: int, *, direct: bool, status: os.stat_result) -> None:
        """`file` is the descriptor of `path`, open already: what is read is that file, whatever has its name now.

        `status` is how it was when its header was checked.
        """
        self.path = path
        self._file = file
        self._size_bytes, self._written_ns = status.st_size, status.st_mtime_ns
        self._direct = _reopened_direct(file) if direct else None

    def __enter__(self) -> ParallelFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._direct is not None:
            os.close(self._direct)

    @property
    def is_direct(self) -> bool:
        """Whether reads go past the page cache."""
        return self._direct is not None

    def read(self, at: int, memory: memoryview) -> None:
        """Fill `memory` from byte `at` on, as far as the file goes. Raises ModelCorrupt where it has become shorter."""
        end = min(at + len(memory), self._size_bytes)
        rest = memory
        while at < end:
            count = self._read_some(at, rest)
            if count == 0:
                raise ModelCorrupt(f"{self.path} ended at byte {at} while it was read")
            rest, at = rest[count:], at + count

    def read_all(self, chunks: Iterable[tuple[int, memoryview]]) -> None:
        """Fill each memory from its place, several at a time. Raises ModelCorrupt for a file that changed meanwhile."""
        with ThreadPoolExecutor(THREADS, thread_name_prefix="read") as pool:
            for done in [pool.submit(self.read, *chunk) for chunk in chunks]:
                done.result()
        self.check_unchanged()

    def check_unchanged(self) -> None:
        """Raise ModelCorrupt where the file was written to since it was opened."""
        status = os.fstat(self._file)
        if (status.st_size, status.st_mtime_ns) != (self._size_bytes, self._written_ns):
            raise ModelCorrupt(f"{self.path} was written to while it was read")

    def _read_some(self, at: int, memory: memoryview) -> int:
        is_aligned = at % PAGE_BYTES == 0 and len(memory) % PAGE_BYTES == 0
        try:
            if self._direct is not None and is_aligned:
                return os.preadv(self._direct, [memory], at)
        except OSError:  # refused after all, or a fault of the device, which the other way will tell again
            pass
        try:
            return os.preadv(self._file, [memory], at)
        except OSError as exc:
            raise ModelCorrupt(f"{self.path} cannot be read at byte {at}: {exc.strerror or exc}") from exc


def _reopened_direct(file: int) -> int | None:
    """The same file for reads past the page cache; None where the file system or platform has none."""
    try:
        return os.open(f"/proc/self/fd/{file}", os.O_RDONLY | os.O_DIRECT | os.O_CLOEXEC)
    except (OSError, AttributeError):
        return None
