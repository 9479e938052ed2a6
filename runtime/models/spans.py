"""Which stretches of a file are read for the tensors that are wanted, in which pieces."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from runtime.models.parallel_read import CHUNK_BYTES, PAGE_BYTES
from runtime.models.safetensors_header import TensorEntry

# What lies between two tensors is read along where it is shorter than this: a request costs more.
_MAX_GAP_BYTES = 128 * 1024


@dataclass(frozen=True, kw_only=True)
class Span:
    """A stretch of whole pages, and the tensors in it by name, in the order of the file."""

    begin: int
    end: int
    entries: Sequence[tuple[str, TensorEntry]]

    @property
    def size_bytes(self) -> int:
        return self.end - self.begin

    def chunks(self) -> Iterator[tuple[int, int]]:
        """The (begin, end) of the pieces that it is read in."""
        for begin in range(self.begin, self.end, CHUNK_BYTES):
            yield begin, min(begin + CHUNK_BYTES, self.end)

    def overlapping(self, begin: int, end: int) -> Iterator[tuple[str, TensorEntry]]:
        """The tensors that have bytes between `begin` and `end`."""
        for name, entry in self.entries[bisect_right(self._ends, begin) :]:
            if entry.begin >= end:
                return
            yield name, entry

    @cached_property
    def _ends(self) -> list[int]:
        return [entry.end for _, entry in self.entries]


def spans(entries: Iterable[tuple[str, TensorEntry]]) -> list[Span]:
    """The stretches that hold `entries`, in the order of the file."""
    groups: list[list[tuple[str, TensorEntry]]] = []
    end = 0
    for name, entry in sorted(entries, key=lambda named: named[1].begin):
        if not groups or entry.begin - end > _MAX_GAP_BYTES:
            groups.append([])
        groups[-1].append((name, entry))
        end = entry.end
    return [_span(group) for group in groups]


def _span(group: Sequence[tuple[str, TensorEntry]]) -> Span:
    begin, end = group[0][1].begin, group[-1][1].end
    return Span(begin=begin - begin % PAGE_BYTES, end=end + -end % PAGE_BYTES, entries=group)
