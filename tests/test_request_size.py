"""How large a request may be, and that finding out costs nothing."""

from __future__ import annotations

from typing import Any

import pytest

from runtime.errors import InvalidRequest
from runtime.request import JobRequest
from runtime.request_size import exceeds, refuse_large


@pytest.mark.parametrize(
    "value",
    ["a" * 101, {"a" * 101: 1}, [{"x": ["a" * 60, "b" * 60]}], [0] * 13, dict.fromkeys(map(str, range(13)))],
    ids=["text", "name", "nested", "list", "mapping"],
)
def test_every_text_and_place_counts(value: Any) -> None:
    assert exceeds(value, 100)


@pytest.mark.parametrize("value", ["a" * 100, {"a": {"b": ["c", 1, None]}}, 7, [0] * 12], ids=str)
def test_what_is_within_the_limit_passes(value: Any) -> None:
    assert not exceeds(value, 100)


def test_it_stops_at_the_limit_also_in_what_never_ends() -> None:
    ring: list[Any] = []
    ring.append(ring)
    assert exceeds(ring, 1_000)


@pytest.mark.parametrize("name", ["workflow", "overrides", "extra_pnginfo"])
def test_the_part_that_is_too_large_is_named(name: str) -> None:
    request, _ = JobRequest.parse({"workflow": {}, name: {"a": "a" * 200}})
    with pytest.raises(InvalidRequest, match=rf"request's {name} has more than 100 bytes \(MAX_REQUEST_SIZE\)"):
        refuse_large(request, 100)


def test_input_files_have_limits_of_their_own() -> None:
    request, _ = JobRequest.parse({"workflow": {}, "images": [{"name": "a", "image": "A" * 200}]})
    refuse_large(request, 100)
