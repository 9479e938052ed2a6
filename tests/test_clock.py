from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.clock import ManualClock, SystemClock, epoch_s, utc_text

SECONDS = st.integers(0, 4_000_000_000_000_000).map(lambda microseconds: microseconds / 1e6)


@given(SECONDS)
def test_a_time_comes_back_from_its_text(seconds: float) -> None:
    assert epoch_s(utc_text(seconds)) == pytest.approx(seconds, abs=2e-6)


@given(SECONDS, SECONDS)
def test_texts_sort_as_their_times_do(one: float, other: float) -> None:
    if one < other:
        assert utc_text(one) <= utc_text(other)


def test_a_text_is_iso_8601_in_utc() -> None:
    assert utc_text(0) == "1970-01-01T00:00:00.000000Z"


def test_a_manual_clock_moves_both_readings() -> None:
    clock = ManualClock(wall=1000.0)
    clock.advance(2.5)
    assert (clock.wall(), clock.monotonic()) == (1002.5, 2.5)


def test_the_system_clock_does_not_go_back() -> None:
    clock = SystemClock()
    assert clock.monotonic() <= clock.monotonic()
    assert utc_text(clock.wall()) > "2024"
