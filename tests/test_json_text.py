from __future__ import annotations

import pytest

from runtime.json_text import read_json


@pytest.mark.parametrize(
    "text", ['{"a": ["\\ud83d\\ude00", 1e3, null]}', b'\xef\xbb\xbf{"a": "\xc3\xa9"}', '"\\\\ud800"']
)
def test_json_is_read(text: str | bytes) -> None:
    assert read_json(text)


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "[-Infinity]",
        '"\\ud800"',
        '{"\\uDC00": 1}',
        '["\\ude00\\ud83d"]',
        b'"\xed\xa0\x80"',
        b"\xff\xff",
        "",
        "{",
    ],
)
def test_what_no_answer_could_hold_is_no_json(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_json(text)
