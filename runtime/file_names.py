"""The names that a request gives its files: what one may look like, and ComfyUI's annotation of where it lies."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from runtime.errors import InputRejected

_MAX_NAME_BYTES = 1024
_MAX_SEGMENT_BYTES = 255
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\]")
_ANNOTATION = re.compile(r" \[(input|output|temp)\]$")


def safe_name(name: str) -> PurePosixPath:
    """`name` as a relative path of plain segments.

    Raises InputRejected, naming it, where it is absolute, climbs, has an empty segment, a backslash or a control
    character, or is longer than file systems take.
    """
    segments = name.split("/")
    if name.startswith("/"):
        raise InputRejected(f"file name {shown(name)} is absolute, expected one inside the job's folder")
    if _UNSAFE.search(name):
        raise InputRejected(f"file name {shown(name)} holds a backslash or a control character")
    if not {"", ".", ".."}.isdisjoint(segments):
        raise InputRejected(f"file name {shown(name)} has an empty, '.' or '..' segment, expected a name or sub/name")
    if not _fits(name, _MAX_NAME_BYTES) or not all(_fits(segment, _MAX_SEGMENT_BYTES) for segment in segments):
        raise InputRejected(
            f"file name {shown(name)} is no UTF-8 or too long, expected at most {_MAX_SEGMENT_BYTES} bytes a segment"
            f" and {_MAX_NAME_BYTES} in all"
        )
    return PurePosixPath(name)


def split_annotation(name: str) -> tuple[str, str | None]:
    """`a.png [output]` as (`a.png`, `output`); the second is None where no folder is given."""
    found = _ANNOTATION.search(name)
    return (name, None) if found is None else (name[: found.start()], found[1])


def shown(name: str) -> str:
    """`name` for a message: quoted, escaped and cut."""
    return repr(name) if len(name) <= 100 else f"{name[:100]!r}..."


def _fits(text: str, limit_bytes: int) -> bool:
    try:
        return len(text) <= limit_bytes and len(text.encode("utf-8")) <= limit_bytes
    except UnicodeEncodeError:
        return False
