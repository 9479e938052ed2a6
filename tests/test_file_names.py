from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InputRejected
from runtime.file_names import safe_name, shown, split_annotation


@pytest.mark.parametrize("name", ["a.png", "sub/a.png", "..a", "a..b", "~", "C:", " a .png", "绘画.png", "a" * 255])
def test_a_plain_name_is_kept(name: str) -> None:
    assert str(safe_name(name)) == name


@pytest.mark.parametrize(
    ("name", "message"),
    [
        pytest.param("/etc/passwd", "is absolute", id="absolute"),
        pytest.param("../a.png", "'..' segment", id="climbs"),
        pytest.param("sub/../../a.png", "'..' segment", id="climbs_inside"),
        pytest.param("./a.png", "'.'", id="dot"),
        pytest.param("a//b.png", "empty", id="empty_segment"),
        pytest.param("sub/", "empty", id="folder"),
        pytest.param("", "empty", id="empty"),
        pytest.param("a\0.png", "control character", id="nul"),
        pytest.param("a\n.png", "control character", id="line_break"),
        pytest.param("..\\a.png", "backslash", id="backslash"),
        pytest.param("a\ud800.png", "no UTF-8", id="surrogate"),
        pytest.param("é" * 128, "at most 255 bytes a segment", id="long_segment"),
        pytest.param("a/" * 600 + "a", "1024 in all", id="long"),
    ],
)
def test_any_other_name_is_refused_with_the_reason(name: str, message: str) -> None:
    with pytest.raises(InputRejected, match=message) as caught:
        safe_name(name)
    assert shown(name) in caught.value.message


@given(st.text())
def test_a_name_that_passes_never_climbs(name: str) -> None:
    try:
        path = safe_name(name)
    except InputRejected:
        return
    assert not path.is_absolute()
    assert ".." not in path.parts
    assert str(path) == name


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a.png", ("a.png", None)),
        ("a.png [input]", ("a.png", "input")),
        ("sub/a b.png [output]", ("sub/a b.png", "output")),
        ("a [temp] [temp]", ("a [temp]", "temp")),
        ("a.png[output]", ("a.png[output]", None)),
        ("a.png [models]", ("a.png [models]", None)),
    ],
)
def test_an_annotation_is_split_off(name: str, expected: tuple[str, str | None]) -> None:
    assert split_annotation(name) == expected


def test_a_name_is_shown_cut_and_escaped() -> None:
    assert shown("a\u202e.png") == "'a\\u202e.png'"
    assert len(shown("a" * 10_000_000)) == 105
