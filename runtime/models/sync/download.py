"""One file from one source into its part file: by ranges on several connections, hashed as they arrive."""

from __future__ import annotations

import hashlib
import random
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from runtime.models.sync.part_file import PartFile
from runtime.models.sync.remote import Check, Remote, SourceFailed

Report = Callable[[int], None]
"""Told of each portion of bytes that came; negative where a portion is fetched again."""

_HASH_BYTES = 4 << 20
_WAIT_S = 0.1


@dataclass(frozen=True, kw_only=True)
class Retries:
    """How often and after how long a range is asked for again: `first_s`, doubled each time, up to `longest_s`."""

    attempts: int = 6
    first_s: float = 0.5
    longest_s: float = 20.0

    def wait_s(self, attempt: int, asked_s: float) -> float:
        """Seconds before attempt number `attempt` + 1, spread so that workers do not all come back at once."""
        backoff = min(self.first_s * 2**attempt, self.longest_s)
        return max(asked_s, float(backoff * random.uniform(0.5, 1.0)))  # noqa: S311  # no secret hangs on it


class _Stopped(Exception):
    """Another range failed: this one's thread ends without a word of its own."""


class Download:
    """Fetches what the part file lacks. `run` answers the SHA-256 of the whole file, read back from the part file."""

    def __init__(
        self,
        remote: Remote,
        part: PartFile,
        *,
        size_bytes: int,
        connections: int,
        check: Check,
        report: Report,
        retries: Retries,
    ) -> None:
        self._remote = remote
        self._part = part
        self._size_bytes = size_bytes
        self._connections = connections
        self._user_check = check
        self._report = report
        self._retries = retries
        self._progress = threading.Condition()
        self._failure: BaseException | None = None

    def run(self) -> str:
        """Raises SourceFailed, or what `check` raises; every thread has ended by then."""
        ranges = self._part.missing()
        if not self._remote.has_ranges:
            self._connections = 1
        with ThreadPoolExecutor(self._connections, thread_name_prefix="model-fetch") as pool:
            for _ in range(self._connections):
                pool.submit(self._work, ranges)
            try:
                digest = self._hash()
            except BaseException as exc:
                self._fail(exc)
                raise
        return digest

    def check(self) -> None:
        """Raise where this download shall end."""
        if self._failure is not None:
            raise _Stopped
        self._user_check()

    def _work(self, ranges: Iterator[tuple[int, int]]) -> None:
        try:
            if not self._remote.has_ranges:
                self._fetch_stream()
                return
            while (wanted := self._next(ranges)) is not None:
                self._fetch_range(*wanted)
        except _Stopped:
            pass
        except BaseException as exc:  # it is raised again on the thread that hashes
            self._fail(exc)

    def _next(self, ranges: Iterator[tuple[int, int]]) -> tuple[int, int] | None:
        with self._progress:
            return next(ranges, None)

    def _fetch_range(self, start: int, end: int) -> None:
        """One range; where the source breaks off, what came stays and the rest is asked for."""
        offset, failures = start, 0
        while offset < end:
            before = offset
            try:
                for chunk in self._remote.read(offset, end):
                    self._put(offset, chunk)
                    offset += len(chunk)
                if offset != end:
                    raise SourceFailed("the source sent fewer bytes than were asked for", transient=True)
            except SourceFailed as exc:
                failures = 1 if offset > before else failures + 1
                self._wait_or_raise(exc, failures)
        self._finish(start)

    def _fetch_stream(self) -> None:
        """The whole file in one answer. A second attempt writes the same bytes over those of the first."""
        failures = 0
        while True:
            try:
                return self._fetch_whole()
            except SourceFailed as exc:
                failures += 1
                self._wait_or_raise(exc, failures)

    def _fetch_whole(self) -> None:
        offset, ranges = 0, self._part.missing()
        wanted = next(ranges, None)
        try:
            for chunk in self._remote.read(0, None):
                if offset + len(chunk) > self._size_bytes:
                    raise SourceFailed(f"the source sent more than {self._size_bytes} bytes")
                self._put(offset, chunk)
                offset += len(chunk)
                while wanted is not None and wanted[1] <= offset:
                    self._finish(wanted[0])
                    wanted = next(ranges, None)
            if offset != self._size_bytes:
                raise SourceFailed("the source broke off before the end", transient=True)
        except BaseException:
            self._report(-offset)
            raise

    def _put(self, offset: int, chunk: bytes) -> None:
        self.check()
        self._part.write(offset, chunk)
        self._report(len(chunk))

    def _wait_or_raise(self, exc: SourceFailed, failures: int) -> None:
        """Wait before a further attempt; raise `exc` where there shall be none."""
        if not exc.transient or failures >= self._retries.attempts:
            raise exc
        ends_at = time.monotonic() + self._retries.wait_s(failures - 1, exc.retry_after_s)
        while (left_s := ends_at - time.monotonic()) > 0:
            self.check()
            with self._progress:
                self._progress.wait(min(left_s, _WAIT_S))

    def _finish(self, start: int) -> None:
        self._part.finish(start)
        with self._progress:
            self._progress.notify_all()

    def _fail(self, exc: BaseException) -> None:
        with self._progress:
            self._failure = self._failure or exc
            self._progress.notify_all()

    def _hash(self) -> str:
        """Follow the ranges in order as they become whole."""
        digest, offset = hashlib.sha256(), 0
        while offset < self._size_bytes:
            end = self._await_more(offset)
            while offset < end:
                self._user_check()
                data = self._part.read(offset, min(_HASH_BYTES, end - offset))
                digest.update(data)
                offset += len(data)
        return digest.hexdigest()

    def _await_more(self, offset: int) -> int:
        while (end := self._part.whole_up_to(offset)) == offset:
            with self._progress:
                if self._failure is not None:
                    raise self._failure
                self._progress.wait(_WAIT_S)
            self._user_check()
        return end
