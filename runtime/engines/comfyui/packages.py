"""Which packages of nodes loaded, and why those that did not are left out."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_LONGEST_REASON = 300
_LARGEST_SOURCE = 2_000_000


@dataclass(frozen=True, kw_only=True)
class NodePackage:
    """One package, or file, of nodes: how long its import took, and what it failed with, if it did."""

    name: str
    path: Path
    import_ms: float
    failure: str | None = None

    def names(self, class_type: str) -> bool:
        """Whether its sources have a text `class_type`, as a package has that registers a node class of that name."""
        sources = sorted(self.path.rglob("*.py")) if self.path.is_dir() else [self.path]
        wanted = (f'"{class_type}"', f"'{class_type}'")
        return any(text in source for source in map(_read, sources) for text in wanted)


class NodePackages:
    """Takes note of packages while they load. ComfyUI itself only logs why one fails, so its log is read."""

    def __init__(self) -> None:
        self.loaded: list[NodePackage] = []

    @property
    def failed(self) -> Sequence[NodePackage]:
        return [package for package in self.loaded if package.failure is not None]

    @contextmanager
    def watching(self, path: str) -> Iterator[Callable[[bool], None]]:
        """Hold this while the package at `path` loads, and call what it gives with whether that went well."""
        lines = _LastLines()
        root = logging.getLogger()
        root.addHandler(lines)
        succeeded = False
        started = time.perf_counter()

        def report(outcome: bool) -> None:
            nonlocal succeeded
            succeeded = outcome

        try:
            yield report
        finally:
            root.removeHandler(lines)
            took_ms = (time.perf_counter() - started) * 1000
            failure = None if succeeded else lines.reason()
            self.loaded.append(
                NodePackage(name=Path(path).stem, path=Path(path), import_ms=round(took_ms, 1), failure=failure)
            )

    def why_absent(self, class_type: str) -> str | None:
        """Why there is no node class of that name: the failure of the package that names it."""
        found = next((package for package in self.failed if package.names(class_type)), None)
        return None if found is None else f"its package {found.name} does not import: {found.failure}"


class _LastLines(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(record.getMessage())

    def reason(self) -> str:
        """The exception's own line of the traceback that ComfyUI logs, else its last warning."""
        traces = [line for line in self._lines if line.startswith("Traceback")]
        last = (traces or self._lines or ["it gave no reason"])[-1].strip().splitlines()
        return (last or ["it gave no reason"])[-1][:_LONGEST_REASON]


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace") if path.stat().st_size <= _LARGEST_SOURCE else ""
    except OSError:
        return ""
