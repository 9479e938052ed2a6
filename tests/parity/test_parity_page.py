"""The parity page is what the cases and the native engine's own lists say, and leaves nothing out."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from runtime.diffusion.family import Family
from scripts.parity.case_file import EXPECTED, Case, read_cases
from scripts.parity.coverage import FAMILIES, UNREACHABLE, Coverage, Row
from scripts.parity.graph import Graph
from scripts.parity.make_cases import all_cases
from scripts.parity.report import PAGE, empty_cells, page


class Unknown:
    """A node class that no case has."""

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, dict[str, tuple[object, ...]]]:
        return {"required": {"mode": (["near", "far"],), "swap": ("BOOLEAN",), "size": ("INT", {})}}


def test_the_page_is_what_the_cases_say() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run: python -m scripts.parity.report"


def test_every_node_option_family_sampler_and_scheduler_has_a_case() -> None:
    assert empty_cells() == []


def test_a_node_without_a_case_is_an_empty_cell() -> None:
    [row] = Coverage(read_cases()).nodes({"Unknown": Unknown})
    assert row.is_empty


def test_each_value_of_a_combo_and_a_switch_is_a_row_of_its_own() -> None:
    case = Graph().add("n", "Unknown", mode="near", swap=True).case("covering", {})
    rows = Coverage([case]).options({"Unknown": Unknown})
    assert [(row.subject, row.is_empty) for row in rows] == [
        ("Unknown.mode = near", False),
        ("Unknown.mode = far", True),
        ("Unknown.swap = true", False),
        ("Unknown.swap = false", True),
    ]


def test_what_is_said_to_have_no_case_has_none() -> None:
    used = {
        (node["class_type"], name, value)
        for case in read_cases()
        for node in case.workflow.values()
        for name, value in node["inputs"].items()
        if isinstance(value, str)
    }
    assert used & UNREACHABLE.keys() == set()


def test_a_reason_fills_a_cell() -> None:
    assert not Row(subject="node", cases=(), reason="it cannot be").is_empty


def test_the_families_of_the_engine_are_all_on_the_page() -> None:
    checkpoints = {checkpoint.removesuffix("_mini").replace("_", "-") for checkpoint in FAMILIES.values()}
    assert {family.value for family in Family} <= checkpoints


def test_the_case_file_is_what_the_case_lists_say() -> None:
    listed = [(case.name, _plain(case.workflow), _plain(case.capture)) for case in all_cases()]
    written = [(case.name, _plain(case.workflow), _plain(case.capture)) for case in read_cases()]
    assert written == listed, "run: python -m scripts.parity.make_cases"


def test_every_case_has_its_expected_values_and_no_file_is_left_over() -> None:
    assert {path.stem for path in EXPECTED.glob("*")} == {case.name for case in read_cases()}


def test_the_expected_values_of_a_case_are_those_of_its_labels() -> None:
    stale = [case.name for case in read_cases() if _labels(case) != set(case.capture)]
    assert stale == [], "run: python -m scripts.parity.make_expected --only CASE"


def test_expected_values_are_smaller_than_twelve_megabytes() -> None:
    assert sum(path.stat().st_size for path in Path(EXPECTED).iterdir()) < 12_000_000


def _labels(case: Case) -> set[str]:
    """The labels that the arrays of the case's expected file belong to; an array of none stands for itself."""
    with np.load(case.expected) as arrays:
        return {_label(name, case) for name in arrays.files}


def _label(name: str, case: Case) -> str:
    return next((label for label in case.capture if name == label or name.startswith(f"{label}.")), name)


def _plain(value: object) -> object:
    """`value` with tuples and other mappings as JSON would give them back."""
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return {key: _plain(item) for key, item in value.items()} if isinstance(value, dict) else value
