"""How many threads torch gets."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.cpu_threads import thread_count, wait_briefly

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


def test_the_environment_decides_how_threads_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    monkeypatch.delenv("GOMP_SPINCOUNT", raising=False)
    wait_briefly()
    assert os.environ["OMP_WAIT_POLICY"] == "ACTIVE"
    assert "GOMP_SPINCOUNT" not in os.environ


def test_threads_that_wait_fall_asleep(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    wait_briefly()
    assert os.environ["OMP_WAIT_POLICY"] == "PASSIVE"
