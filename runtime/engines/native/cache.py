"""Results of nodes kept between jobs, bounded in bytes."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any

Outputs = list[list[Any]]

_MODEL_TYPES = frozenset({"MODEL", "CLIP", "VAE"})


class NodeCache:
    """Least recently used results by key, at most `limit_bytes` of tensors, bytes and text.

    A model among the results is held weakly: the model store owns it, and a result whose model has left the store is
    gone. Used from the GPU thread alone.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit = limit_bytes
        self._entries: OrderedDict[bytes, tuple[list[list[Any]], int]] = OrderedDict()
        self.size_bytes = 0

    def get(self, key: bytes) -> Outputs | None:
        """The results under `key`, or None."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        outputs = [[_strong(value) for value in values] for values in entry[0]]
        if any(value is _GONE for values in outputs for value in values):
            self._drop(key)
            return None
        self._entries.move_to_end(key)
        return outputs

    def put(self, key: bytes, outputs: Outputs, types: tuple[Any, ...]) -> None:
        """Keep `outputs`, whose declared types are `types`; drop the least recently used over the limit."""
        kept = [
            [_weak(value) for value in values] if type_ in _MODEL_TYPES else values
            for values, type_ in zip(outputs, types, strict=False)
        ]
        size = _ENTRY_BYTES + size_of(kept)
        if size > self._limit:
            return
        if key in self._entries:
            self._drop(key)
        self._entries[key] = (kept, size)
        self.size_bytes += size
        while self.size_bytes > self._limit:
            self._drop(next(iter(self._entries)))

    def clear(self) -> None:
        """Forget everything."""
        self._entries.clear()
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._entries)

    def _drop(self, key: bytes) -> None:
        self.size_bytes -= self._entries.pop(key)[1]


_GONE = object()
_ENTRY_BYTES = 500  # an entry's own objects, so that a million tiny results are bounded too


def _weak(value: Any) -> Any:
    try:
        return weakref.ref(value)
    except TypeError:  # a custom node's plain value under a model's type name
        return value


def _strong(value: Any) -> Any:
    if type(value) is not weakref.ReferenceType:
        return value
    alive = value()
    return _GONE if alive is None else alive


def size_of(value: Any) -> int:
    """The bytes of every tensor, byte string and text reachable through lists, tuples and dictionaries."""
    seen: set[int] = set()
    total, stack = 0, [value]
    while stack:
        item = stack.pop()
        if isinstance(item, (str, bytes)):
            total += len(item)
        elif (storage := getattr(item, "untyped_storage", None)) is not None:
            total += _storage_bytes(storage(), seen)
        elif isinstance(item, (list, tuple, Mapping)) and id(item) not in seen:
            seen.add(id(item))
            stack.extend(_children(item))
    return total


def _children(item: Iterable[Any]) -> Iterable[Any]:
    return item.values() if isinstance(item, Mapping) else item


def _storage_bytes(storage: Any, seen: set[int]) -> int:
    address = storage.data_ptr()
    if address in seen:
        return 0
    seen.add(address)
    return int(storage.nbytes())
