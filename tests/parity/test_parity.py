"""Every case that ComfyUI ran, run on the native engine and held against what ComfyUI produced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest

from scripts.parity.case_file import Case, read_cases
from scripts.parity.compare import differences

RunCase = Callable[[Case], Mapping[str, Any]]


@pytest.fixture(scope="module")
def run_case(runner_on: Callable[[str], RunCase]) -> RunCase:
    return runner_on("cpu")


@pytest.mark.parametrize("case", read_cases(), ids=lambda case: case.name)
def test_a_graph_gives_what_comfyui_gives(case: Case, run_case: RunCase) -> None:
    assert differences(case, run_case(case)) == []
