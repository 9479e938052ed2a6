"""Results of nodes kept between jobs, bounded in bytes."""

from __future__ import annotations

import weakref
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from types import FunctionType, ModuleType
from typing import Any

Outputs = list[list[Any]]

_MODEL_TYPES = frozenset({"MODEL", "CLIP", "VAE", "GUIDER", "CONTROL_NET", "UPSCALE_MODEL"})


class NodeCache:
    """Least recently used results by key, at most `limit_bytes` of tensors, bytes and text.

    A model among the results is held weakly: the model store owns it, and a result whose model has left the store is
    gone. A conditioning under a control holds one too, and is made anew. Used from the GPU thread alone.
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
        if any(_is_controlled(value) for values in outputs for value in values):
            return
        kept = [
            [_weak(value) for value in values] if _holds_model(type_) else values
            for values, type_ in zip(outputs, types, strict=False)
        ]
        size = _ENTRY_BYTES + size_of([value for values in kept for value in values])
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
_ITEM_BYTES = 8  # one place of a list


def _holds_model(type_: Any) -> bool:
    return isinstance(type_, str) and str.__str__(type_) in _MODEL_TYPES


def _is_controlled(value: Any) -> bool:
    """Whether it is a conditioning with a control, which holds a model that the store owns."""
    if not isinstance(value, list):
        return False
    return any(
        isinstance(entry, list | tuple)
        and len(entry) > 1
        and isinstance(entry[1], Mapping)
        and entry[1].get("control") is not None
        for entry in value
    )


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
    """The bytes of every tensor, array, byte string and text reachable through containers and objects' attributes."""
    seen: set[int] = set()
    total, stack = 0, [value]
    while stack:
        item = stack.pop()
        kind = type(item)
        if kind is str or kind is bytes:
            total += len(item)
        elif kind in _SMALL or id(item) in seen:
            continue
        elif hasattr(item, "untyped_storage"):
            total += _storage_bytes(item.untyped_storage(), seen)
        else:
            seen.add(id(item))
            total += _own_bytes(item)
            stack += _children(item)
    return total


_SMALL = frozenset({bool, int, float, type(None), weakref.ReferenceType})


def _own_bytes(item: Any) -> int:
    if isinstance(item, list | tuple | Mapping):
        return _ITEM_BYTES * len(item)
    size = getattr(item, "nbytes", 0)  # numpy's arrays and scalars
    return size if isinstance(size, int) else 0


def _children(item: Any) -> Iterable[Any]:
    if isinstance(item, list | tuple):
        return item
    if isinstance(item, Mapping):
        return item.values()
    if isinstance(item, type | ModuleType | FunctionType):
        return ()
    return vars(item).values() if hasattr(item, "__dict__") else ()


def _storage_bytes(storage: Any, seen: set[int]) -> int:
    address = storage.data_ptr()
    if address in seen:
        return 0
    seen.add(address)
    return int(storage.nbytes())
