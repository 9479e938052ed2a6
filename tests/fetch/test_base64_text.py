from __future__ import annotations

import base64
import io
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.errors import InputRejected
from runtime.fetch.base64_text import write_base64
from runtime.fetch.sink import ByteBudget, Sink


class _Nowhere(io.BytesIO):
    def write(self, data: object) -> int:
        return 0


def decoded(text: str) -> bytes:
    file = io.BytesIO()
    write_base64(text, Sink(file, limit_bytes=1 << 30, budget=ByteBudget(1 << 30), check=lambda: None))
    return file.getvalue()


@given(st.binary(max_size=300), st.sampled_from(["", "data:;base64,", " DATA:image/png;name=a;base64,"]))
def test_what_was_encoded_comes_out(data: bytes, prefix: str) -> None:
    assert decoded(prefix + base64.b64encode(data).decode()) == data


@given(st.binary(min_size=1, max_size=300), st.integers(1, 76))
def test_line_breaks_anywhere_are_passed_over(data: bytes, width: int) -> None:
    text = base64.b64encode(data).decode()
    assert decoded("\r\n".join(text[at : at + width] for at in range(0, len(text), width)) + "\n") == data


@pytest.mark.parametrize("size", [786_431, 786_432, 786_433, 2_000_001])
def test_a_text_of_several_slices_comes_out_whole(size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    assert decoded(base64.b64encode(data).decode() + " " * 1_100_000) == data


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("iVBOR!", "holds '!'", id="foreign"),
        pytest.param("a-_b", "holds '-'", id="url_alphabet"),
        pytest.param("üüüü", "holds 'ü'", id="not_ascii"),
        pytest.param("abcde", "cut off or wrongly padded", id="cut_off"),
        pytest.param("abc", "cut off or wrongly padded", id="no_padding"),
        pytest.param("a===", "cut off or wrongly padded", id="much_padding"),
        pytest.param("ab==cdef", "cut off or wrongly padded", id="goes_on"),
        pytest.param("ab==" + " " * 1_100_000 + "cdef", "cut off or wrongly padded", id="goes_on_later"),
        pytest.param("data:image/png,abcd", "data:TYPE;base64", id="not_base64_data"),
        pytest.param("data:image/png;base64", "data:TYPE;base64", id="no_comma"),
    ],
)
def test_text_that_is_no_base64_is_refused_with_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(InputRejected, match=message):
        decoded(text)


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("YWJj", 3), ("YWI=", 2), ("YQ==", 1), ("data:;base64,YW\r\nJj\n", 3), ("YQ==" + "\n" * 20, 1)],
)
def test_the_size_is_known_before_anything_is_decoded(text: str, size_bytes: int) -> None:
    file = io.BytesIO()
    with pytest.raises(InputRejected, match=f"its size is {size_bytes} bytes, expected at most {size_bytes - 1}"):
        write_base64(text, Sink(file, limit_bytes=size_bytes - 1, budget=ByteBudget(9), check=lambda: None))
    assert file.getvalue() == b""
    assert len(decoded(text)) == size_bytes


def test_decoding_holds_no_copy_of_the_whole() -> None:
    sink = Sink(_Nowhere(), limit_bytes=1 << 30, budget=ByteBudget(1 << 30), check=lambda: None)
    text = "abcd" * (5 << 20)
    tracemalloc.start()
    try:
        write_base64(text, sink)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < len(text)
