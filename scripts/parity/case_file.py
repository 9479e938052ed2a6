"""The parity cases as they stand in `tests/parity/cases.json`."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PARITY = Path(__file__).resolve().parents[2] / "tests" / "parity"
CASES = PARITY / "cases.json"
EXPECTED = PARITY / "expected"

Link = tuple[str, int]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One workflow in API format and, by label, the links (node id, output index) whose values are compared."""

    name: str
    workflow: Mapping[str, Any]
    capture: Mapping[str, Link]

    @property
    def expected(self) -> Path:
        """Where the case's expected arrays stand."""
        return EXPECTED / f"{self.name}.npz"


def read_cases(path: Path = CASES, pattern: str = "*") -> list[Case]:
    """The cases of `path` whose name matches the shell `pattern`, in the file's order.

    Raises LookupError where none matches.
    """
    entries = json.loads(path.read_text())
    cases = [_case(name, entry) for name, entry in entries.items() if fnmatch.fnmatchcase(name, pattern)]
    if not cases:
        raise LookupError(f"no case in {path} matches {pattern!r}; there are {len(entries)}")
    return cases


def write_cases(cases: Iterable[Case], path: Path = CASES) -> None:
    """Write `cases` to `path` at once, a line for each node. Raises ValueError where two have the same name."""
    lines: dict[str, str] = {}
    for case in cases:
        if case.name in lines:
            raise ValueError(f"two cases are named {case.name!r}")
        lines[case.name] = f"{json.dumps(case.name)}: {_entry(case)}"
    draft = path.with_suffix(".draft")
    draft.write_text("{\n" + ",\n".join(lines.values()) + "\n}\n")
    draft.replace(path)


def _case(name: str, entry: dict[str, Any]) -> Case:
    capture = {label: (node_id, index) for label, (node_id, index) in entry["capture"].items()}
    return Case(name=name, workflow=entry["workflow"], capture=capture)


def _entry(case: Case) -> str:
    nodes = ",\n".join(f"  {json.dumps(node_id)}: {json.dumps(node)}" for node_id, node in case.workflow.items())
    return f'{{\n "workflow": {{\n{nodes}\n }},\n "capture": {json.dumps(case.capture)}\n}}'
