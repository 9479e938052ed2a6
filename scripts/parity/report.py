"""Write docs/parity.md, which cases hold what against ComfyUI: `python -m scripts.parity.report`.

Exits with status 1 where a node, option, family, sampler or scheduler of the native engine has no case.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path

from runtime.diffusion.samplers.table import SAMPLER_NAMES
from runtime.diffusion.schedules import SCHEDULER_NAMES
from runtime.nodes import node_classes
from scripts.parity.case_file import Case, read_cases
from scripts.parity.coverage import Coverage, Row

PAGE = Path(__file__).resolve().parents[2] / "docs" / "parity.md"
NAMED = 8
INTRODUCTION = """# Parity with ComfyUI

Each case below is a workflow that ComfyUI itself ran, and whose values are held against what the native engine
computes, within the bounds in `tests/parity`. A row without a case fails the tests.
This page is written by `python -m scripts.parity.report` from `tests/parity/cases.json` and the native engine's
own lists."""

Table = tuple[str, list[Row]]


def tables() -> list[Table]:
    """Every table of the page: its title and its rows."""
    cases, classes = read_cases(), node_classes()
    coverage = Coverage(cases)
    return [
        ("Family", coverage.families()),
        ("Node", coverage.nodes(classes)),
        ("Option", coverage.options(classes)),
        ("Sampler", coverage.values("sampler_name", SAMPLER_NAMES)),
        ("Scheduler", coverage.values("scheduler", SCHEDULER_NAMES)),
        ("Case", [Row(subject=case.name, cases=_kept(case)) for case in cases]),
    ]


def page() -> str:
    """The page."""
    parts = [INTRODUCTION]
    for title, rows in tables():
        lines = "\n".join(_line(row) for row in rows)
        second = "what is compared" if title == "Case" else "cases"
        parts.append(f"## By {title.lower()}\n\n| {title.lower()} | {second} |\n| --- | --- |\n{lines}")
    return "\n\n".join(parts) + "\n"


def empty_cells() -> list[str]:
    """What has no case, by table and subject."""
    return [f"{title}: {row.subject}" for title, rows in tables() for row in rows if row.is_empty]


def _kept(case: Case) -> tuple[str, ...]:
    return tuple(case.capture)


def _line(row: Row) -> str:
    return f"| `{row.subject}` | {_names(row.cases) if row.cases else row.reason} |"


def _names(names: Iterable[str]) -> str:
    """At most `NAMED` of the names, and how many more there are."""
    kept = list(names)
    named = ", ".join(f"`{name}`" for name in kept[:NAMED])
    return named if len(kept) <= NAMED else f"{named} and {len(kept) - NAMED} more"


def main() -> int:
    """Write the page; the exit status is 1 where a cell is empty."""
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page(), encoding="utf-8")
    missing = empty_cells()
    for subject in missing:
        print(f"no case: {subject}", file=sys.stderr)
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
