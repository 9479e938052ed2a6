"""JSON that came from outside, with nothing in it that is no JSON and that no store and no answer could hold."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def read_json(text: str | bytes) -> Any:
    """What the text holds.

    Raises ValueError where it is no JSON: also for NaN and Infinity, and for half of a surrogate pair, which has no
    UTF-8; RecursionError where it is nested too deep.
    """
    if isinstance(text, bytes):
        text = text.decode(json.detect_encoding(text))
    value = json.loads(text, parse_constant=_refuse)
    if _HALF.search(text):
        json.dumps(value, ensure_ascii=False).encode()
    return value


def _refuse(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON's")
