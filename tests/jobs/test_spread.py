from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.jobs.spread import spread_of


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=50))
def test_percentiles_are_numpy_s(numbers: list[float]) -> None:
    spread = spread_of(numbers)
    assert spread is not None
    expected = np.percentile(numbers, [10, 50, 90, 99])
    assert [spread.p10, spread.p50, spread.p90, spread.p99] == pytest.approx(expected, abs=1e-3)
    assert spread.mean == pytest.approx(np.mean(numbers), abs=1e-3)
    assert spread.samples == len(numbers)


def test_there_is_no_spread_of_nothing() -> None:
    assert spread_of([]) is None
