from __future__ import annotations

from runtime.models.parallel_read import CHUNK_BYTES, PAGE_BYTES
from runtime.models.safetensors_header import TensorEntry
from runtime.models.spans import spans

FAR = 100 * CHUNK_BYTES


def entry(begin: int, end: int) -> TensorEntry:
    return TensorEntry(dtype="U8", shape=(end - begin,), begin=begin, end=end)


def test_what_lies_near_is_one_span_of_whole_pages() -> None:
    (span,) = spans({"b": entry(6000, 7000), "a": entry(5000, 5500)}.items())
    assert (span.begin, span.end) == (4096, 8192)
    assert [name for name, _ in span.entries] == ["a", "b"]


def test_what_lies_far_apart_is_not_read_along() -> None:
    found = spans({"a": entry(0, 10), "b": entry(FAR, FAR + 10)}.items())
    assert [(span.begin, span.end) for span in found] == [(0, PAGE_BYTES), (FAR, FAR + PAGE_BYTES)]


def test_a_span_is_cut_into_chunks_that_cover_it() -> None:
    (span,) = spans({"a": entry(0, 2 * CHUNK_BYTES + 1)}.items())
    assert list(span.chunks()) == [
        (0, CHUNK_BYTES),
        (CHUNK_BYTES, 2 * CHUNK_BYTES),
        (2 * CHUNK_BYTES, 2 * CHUNK_BYTES + PAGE_BYTES),
    ]


def test_the_tensors_of_a_chunk_are_those_that_have_bytes_in_it() -> None:
    (span,) = spans({"a": entry(0, 100), "b": entry(100, 5000), "c": entry(5000, 9000)}.items())
    assert [name for name, _ in span.overlapping(100, 5000)] == ["b"]
    assert [name for name, _ in span.overlapping(99, 5001)] == ["a", "b", "c"]
    assert [name for name, _ in span.overlapping(8192, 12288)] == ["c"]
