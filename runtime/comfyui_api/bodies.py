"""Bodies of JSON whose type no client declares."""

from __future__ import annotations

from typing import Any

from runtime.errors import InvalidRequest
from runtime.json_text import read_json

_MOST_IDS = 1_000


def value_in(body: bytes) -> Any:
    """What the body holds. Raises InvalidRequest where it is not JSON."""
    try:
        return read_json(body)
    except (ValueError, RecursionError) as exc:
        raise InvalidRequest(f"the body is not JSON: {str(exc)[:200]}") from exc


def object_in(body: bytes) -> dict[str, Any]:
    """The object that the body holds; an empty one where it is empty. Raises InvalidRequest."""
    value = value_in(body) if body.strip() else {}
    if not isinstance(value, dict):
        raise InvalidRequest("the body is no JSON object")
    return value


def ids_in(body: dict[str, Any], name: str) -> list[str]:
    """A list of ids. Raises InvalidRequest for anything else."""
    ids = body.get(name) or []
    if not isinstance(ids, list) or len(ids) > _MOST_IDS or not all(isinstance(id, str) for id in ids):
        raise InvalidRequest(f"{name} is no list of at most {_MOST_IDS} ids")
    return ids
