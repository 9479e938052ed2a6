"""Where a transfer's bytes go: one file, held to its own limit and to the request's."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import BinaryIO

from runtime.errors import InputRejected


class ByteBudget:
    """What all the input files of a request may take together, in bytes; shared by the threads that fetch them."""

    def __init__(self, total_bytes: int) -> None:
        self._total_bytes = total_bytes
        self._left_bytes = total_bytes
        self._lock = threading.Lock()

    def expect(self, size_bytes: int) -> None:
        """Raises InputRejected where less than `size_bytes` is left, and takes nothing."""
        if size_bytes > self._left_bytes:
            raise InputRejected(f"the request's input files exceed {self._total_bytes} bytes in total")

    def take(self, size_bytes: int) -> None:
        """Raises InputRejected where less than `size_bytes` is left."""
        with self._lock:
            self.expect(size_bytes)
            self._left_bytes -= size_bytes


class Sink:
    """One input file as it arrives.

    `check` is called with every chunk and raises when the transfer shall end.
    """

    def __init__(self, file: BinaryIO, *, limit_bytes: int, budget: ByteBudget, check: Callable[[], None]) -> None:
        self._file = file
        self._limit_bytes = limit_bytes
        self._budget = budget
        self.check = check
        self.size_bytes = 0
        self.head = b""

    def expect(self, size_bytes: int) -> None:
        """Refuse a declared size over either limit before its first byte is read."""
        if size_bytes > self._limit_bytes:
            raise InputRejected(f"its size is {size_bytes} bytes, expected at most {self._limit_bytes}")
        self._budget.expect(size_bytes)

    def write(self, chunk: bytes) -> None:
        """Add `chunk`; raises InputRejected over either limit."""
        self.check()
        self.size_bytes += len(chunk)
        if self.size_bytes > self._limit_bytes:
            raise InputRejected(f"it has more than the {self._limit_bytes} bytes that one input file may have")
        self._budget.take(len(chunk))
        self.head = self.head or chunk[:64]
        self._file.write(chunk)
