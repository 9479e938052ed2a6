"""The header of a safetensors file, checked whole before any tensor is touched.

The format (github.com/huggingface/safetensors, README): eight bytes with the header's length, little-endian; the
header, a JSON object {name: {dtype, shape, data_offsets: [begin, end]}} with an optional `__metadata__` of strings;
then the tensors' bytes, which must cover the rest of the file with neither gap nor overlap.
"""

from __future__ import annotations

import json
import math
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NoReturn, TypeGuard

from runtime.errors import ModelCorrupt, ModelUnsafe
from runtime.models.signature import PICKLE, signature

# Ten times the header of the largest checkpoints; more of it would take seconds to parse.
MAX_HEADER_BYTES = 4 * 1024 * 1024
_MAX_DIMENSIONS = 16

BYTES_PER_VALUE: Mapping[str, int] = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64"), 8),
}


@dataclass(frozen=True, kw_only=True)
class TensorEntry:
    """Where one tensor lies: `begin` and `end` in bytes from the start of the file."""

    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int

    @property
    def size_bytes(self) -> int:
        return self.end - self.begin


@dataclass(frozen=True, kw_only=True)
class SafetensorsHeader:
    """What a file says it holds; every entry lies inside the file and has the size of its shape."""

    tensors: Mapping[str, TensorEntry]
    metadata: Mapping[str, str]


class _HeaderError(ValueError):
    """What is wrong with a header, as the end of a sentence that begins with the file's name."""


def read_header(path: Path) -> SafetensorsHeader:
    """The checked header of the file at `path`.

    Raises ModelCorrupt naming the file and the fault, or ModelUnsafe where the file is a pickle.
    """
    try:
        with path.open("rb") as file:
            return check_header(path, file)
    except OSError as exc:
        raise ModelCorrupt(f"{path} cannot be read: {exc.strerror or exc}") from exc


def check_header(path: Path, file: BinaryIO) -> SafetensorsHeader:
    """As `read_header`, of a file already open at its start; `path` is for the message."""
    size = os.fstat(file.fileno()).st_size
    try:
        length = _header_length(file.read(8), size)
        return _parsed(file.read(length), data_start=8 + length, file_size=size)
    except _HeaderError as exc:
        file.seek(0)
        _refuse(path, file.read(40), exc)


def _refuse(path: Path, start: bytes, fault: _HeaderError) -> NoReturn:
    is_header_there = start[8:9] == b"{"
    if not is_header_there and (meaning := signature(start)):
        kind = ModelUnsafe if meaning is PICKLE else ModelCorrupt
        raise kind(f"{path} is not a safetensors file: it is {meaning}") from fault
    raise ModelCorrupt(f"{path} is not a whole safetensors file: {fault}") from fault


def _header_length(start: bytes, file_size: int) -> int:
    if len(start) < 8:
        raise _HeaderError(f"it has {file_size} bytes, and the header's length alone takes 8")
    length = int.from_bytes(start, "little")
    if length > file_size - 8:
        raise _HeaderError(f"its header should have {length} bytes, but the file ends after {file_size} (truncated?)")
    if length > MAX_HEADER_BYTES:
        raise _HeaderError(f"its header has {length} bytes, expected at most {MAX_HEADER_BYTES}")
    return length


def _parsed(header: bytes, *, data_start: int, file_size: int) -> SafetensorsHeader:
    fields = _json_object(header)
    metadata = _metadata(fields.pop("__metadata__", {}))
    tensors = {name: _entry(name, fact, data_start) for name, fact in fields.items()}
    _check_cover(tensors, data_start, file_size)
    return SafetensorsHeader(tensors=tensors, metadata=metadata)


def _json_object(header: bytes) -> dict[str, Any]:
    if not header.startswith(b"{"):
        raise _HeaderError(f"its header should begin with '{{', but begins with {header[:8]!r}")
    try:
        fields = json.loads(header.decode("utf-8"), object_pairs_hook=_distinct)
    except _HeaderError:
        raise
    except (ValueError, RecursionError) as exc:
        raise _HeaderError(f"its header is not JSON ({type(exc).__name__}: {str(exc)[:120]})") from exc
    if not isinstance(fields, dict):  # cannot be: a JSON text that begins with '{' is an object
        raise _HeaderError("its header is not a JSON object")
    return fields


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        twice = Counter(name for name, _ in pairs).most_common(1)[0][0]
        raise _HeaderError(f"its header names {_short(twice)} twice")
    return fields


def _metadata(value: Any) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise _HeaderError("its __metadata__ should map names to strings")
    return value


def _entry(name: str, fact: Any, data_start: int) -> TensorEntry:
    dtype, shape, begin, end = _entry_fields(name, fact)
    size = math.prod(shape) * BYTES_PER_VALUE[dtype]
    if end - begin != size:
        of = f"{_short(name)} of {dtype} {list(shape)}"
        raise _HeaderError(f"{of} takes {size} bytes, but its data_offsets give {end - begin}")
    return TensorEntry(dtype=dtype, shape=shape, begin=data_start + begin, end=data_start + end)


def _entry_fields(name: str, fact: Any) -> tuple[str, tuple[int, ...], int, int]:
    if not isinstance(fact, dict):
        raise _HeaderError(f"{_short(name)} should be an object with dtype, shape and data_offsets")
    dtype, shape, offsets = fact.get("dtype"), fact.get("shape"), fact.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in BYTES_PER_VALUE:
        raise _HeaderError(
            f"{_short(name)} has the dtype {_short(dtype)}, expected one of {', '.join(BYTES_PER_VALUE)}"
        )
    if not _are_sizes(shape) or len(shape) > _MAX_DIMENSIONS:
        raise _HeaderError(f"{_short(name)} has the shape {_short(shape)}, expected a list of sizes")
    if not _are_sizes(offsets) or len(offsets) != 2:
        raise _HeaderError(f"{_short(name)} has the data_offsets {_short(offsets)}, expected [begin, end]")
    return dtype, tuple(shape), offsets[0], offsets[1]


def _are_sizes(value: Any) -> TypeGuard[list[int]]:
    """A list of whole numbers from 0 to 2^63, which JSON's true and 1.0 are not."""
    return isinstance(value, list) and all(type(item) is int and 0 <= item < 2**63 for item in value)


def _check_cover(tensors: Mapping[str, TensorEntry], data_start: int, file_size: int) -> None:
    """The tensors must follow each other from the header to the end of the file."""
    expected = data_start
    for name, entry in sorted(tensors.items(), key=lambda item: (item[1].begin, item[1].end)):
        if entry.begin != expected:
            fault = "overlaps what stands before it" if entry.begin < expected else "leaves a gap before it"
            raise _HeaderError(f"{_short(name)} begins at byte {entry.begin}, expected {expected}: it {fault}")
        expected = entry.end
    if expected != file_size:
        fault = "truncated" if expected > file_size else "something was appended"
        raise _HeaderError(f"its tensors end at byte {expected}, but the file has {file_size} ({fault})")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
