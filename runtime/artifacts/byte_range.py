"""The one part of a file that an HTTP request asks for (RFC 9110, section 14)."""

from __future__ import annotations

import re
from dataclasses import dataclass

_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class ByteRange:
    """`length` bytes from `start` on."""

    start: int
    length: int


class Unsatisfiable(ValueError):
    """The range begins behind the file's end."""


def parse_range(header: str | None, size_bytes: int) -> ByteRange | None:
    """The part of a file of `size_bytes` that a Range header asks for.

    None for the whole file: no header, several ranges, or what is no range of bytes. Raises Unsatisfiable.
    """
    found = _ONE_RANGE.fullmatch(header.strip()) if header else None
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        start = max(size_bytes - int(found[2]), 0)
        end = size_bytes
    else:
        start = int(found[1])
        end = min(int(found[2]) + 1, size_bytes) if found[2] else size_bytes
        if found[2] and int(found[2]) < start:
            return None
    if start >= size_bytes:
        raise Unsatisfiable(f"bytes from {start} on of {size_bytes}")
    return ByteRange(start=start, length=end - start)
