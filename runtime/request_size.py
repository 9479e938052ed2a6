"""How large a request is, found without spelling it out."""

from __future__ import annotations

from typing import Any

from runtime.errors import InvalidRequest
from runtime.request import JobRequest

_ITEM_BYTES = 8  # a place in a list, or a name with its value: JSON has at least two characters for it


def refuse_large(request: JobRequest, limit_bytes: int) -> None:
    """Raise InvalidRequest naming what in `request`, its input files apart, comes to more than `limit_bytes`."""
    parts = {"workflow": request.workflow, "overrides": request.overrides, "extra_pnginfo": request.extra_pnginfo}
    for name, value in parts.items():
        if exceeds(value, limit_bytes):
            raise InvalidRequest(f"the request's {name} has more than {limit_bytes} bytes (MAX_REQUEST_SIZE)")


def exceeds(value: Any, limit_bytes: int) -> bool:
    """Whether the texts and places in a JSON value come to more than `limit_bytes`; it stops where they do.

    Raises TypeError for a name that is no text.
    """
    left, stack = limit_bytes, [value]
    while stack and left >= 0:
        item = stack.pop()
        kind = type(item)
        if kind is str:
            left -= len(item)
        elif kind is dict:
            left -= _ITEM_BYTES * len(item)
            if left >= 0:
                left -= sum(map(len, item))
                stack += item.values()
        elif kind is list or kind is tuple:
            left -= _ITEM_BYTES * len(item)
            if left >= 0:
                stack += item
    return left < 0
