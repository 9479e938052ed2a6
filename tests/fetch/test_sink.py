from __future__ import annotations

import io

import pytest

from runtime.errors import Cancelled, InputRejected
from runtime.fetch.sink import ByteBudget, Sink


def test_chunks_are_written_in_order_and_counted(sink: Sink, received: io.BytesIO) -> None:
    sink.write(b"ab")
    sink.write(b"cd")
    assert (received.getvalue(), sink.size_bytes, sink.head) == (b"abcd", 4, b"ab")


def test_a_declared_size_over_the_limit_is_refused_at_once(sink: Sink) -> None:
    with pytest.raises(InputRejected, match="1000001 bytes, expected at most 1000000"):
        sink.expect(1_000_001)


def test_a_file_over_its_limit_is_not_written_further(sink: Sink, received: io.BytesIO) -> None:
    sink.write(bytes(1_000_000))
    with pytest.raises(InputRejected, match="more than the 1000000 bytes"):
        sink.write(b"x")
    assert len(received.getvalue()) == 1_000_000


def test_files_share_the_budget_of_their_request() -> None:
    budget = ByteBudget(10)
    sinks = [Sink(io.BytesIO(), limit_bytes=8, budget=budget, check=lambda: None) for _ in range(2)]
    sinks[0].write(bytes(8))
    with pytest.raises(InputRejected, match="exceed 10 bytes in total"):
        sinks[1].write(bytes(8))


def test_the_check_is_made_before_every_chunk(received: io.BytesIO) -> None:
    def check() -> None:
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        Sink(received, limit_bytes=8, budget=ByteBudget(8), check=check).write(b"a")
    assert received.getvalue() == b""
