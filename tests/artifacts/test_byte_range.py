from __future__ import annotations

import pytest

from runtime.artifacts.byte_range import ByteRange, Unsatisfiable, parse_range


@pytest.mark.parametrize(
    ("header", "start", "length"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=2-4", 2, 3),
        ("bytes=9-9", 9, 1),
        ("bytes=5-99", 5, 5),
        ("bytes=7-", 7, 3),
        ("bytes=-4", 6, 4),
        ("bytes=-99", 0, 10),
        (" bytes=0-9 ", 0, 10),
    ],
)
def test_a_range_is_a_part_of_the_file(header: str, start: int, length: int) -> None:
    assert parse_range(header, 10) == ByteRange(start=start, length=length)


@pytest.mark.parametrize(
    "header", [None, "", "bytes=", "bytes=-", "bytes=4-2", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b"]
)
def test_what_is_no_single_range_is_the_whole_file(header: str | None) -> None:
    assert parse_range(header, 10) is None


@pytest.mark.parametrize(
    ("header", "size"), [("bytes=10-", 10), ("bytes=10-12", 10), ("bytes=-0", 10), ("bytes=0-", 0)]
)
def test_a_range_behind_the_end_is_unsatisfiable(header: str, size: int) -> None:
    with pytest.raises(Unsatisfiable, match=f"of {size}"):
        parse_range(header, size)
