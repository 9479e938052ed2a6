"""How many threads torch gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.cpu_threads import thread_count

PROCESSORS = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("max 100000", PROCESSORS), ("100000 100000", 1), ("50000 100000", 1), ("6400000 100000", PROCESSORS)],
    ids=["none", "one processor", "half a processor", "more than there are"],
)
def test_a_containers_share_bounds_the_threads(quota: str, expected: int, tmp_path: Path) -> None:
    file = tmp_path / "cpu.max"
    file.write_text(quota)
    assert thread_count(file) == expected


def test_without_a_container_every_processor_counts(tmp_path: Path) -> None:
    assert thread_count(tmp_path / "absent") == PROCESSORS
