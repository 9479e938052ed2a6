"""Make `tests/parity/expected/CASE.npz` from a ComfyUI checkout, or compare what is committed with it.

    COMFYUI_PATH=/path/to/ComfyUI python -m scripts.parity.make_expected [--only 'sd1_*'] [--check]

Runs in the interpreter that has ComfyUI's requirements (torchvision and torchaudio may be absent), from the
repository's root.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from scripts.parity.capture import arrays_of
from scripts.parity.case_file import EXPECTED, Case, read_cases
from scripts.parity.checkout import Checkout, CheckoutError
from scripts.parity.compare import differences


def main() -> int:
    """Make or check the cases that the command line names; the exit status is 1 where one fails or differs."""
    arguments = _arguments()
    try:
        cases = read_cases(pattern=arguments.only)
        with tempfile.TemporaryDirectory(prefix="parity-") as base:
            return _visit(Checkout(_checkout_path(), Path(base)), cases, arguments)
    except (CheckoutError, LookupError) as exc:
        print(f"make_expected: {exc}", file=sys.stderr)
        return 1


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Make the parity cases' expected values with ComfyUI.")
    parser.add_argument("--only", default="*", metavar="PATTERN", help="shell pattern of case names; default: all")
    parser.add_argument("--missing", action="store_true", help="make only cases that have no expected file yet")
    parser.add_argument("--check", action="store_true", help="compare with the committed files, write nothing")
    return parser.parse_args()


def _checkout_path() -> Path:
    path = os.environ.get("COMFYUI_PATH")
    if not path:
        raise CheckoutError("COMFYUI_PATH is not set; it names the ComfyUI checkout to run")
    return Path(path)


def _visit(checkout: Checkout, cases: list[Case], arguments: argparse.Namespace) -> int:
    failures = 0
    for case in cases:
        if arguments.missing and case.expected.exists():
            continue
        started = time.monotonic()
        try:
            problems = _visit_case(checkout, case, check=arguments.check)
        except CheckoutError as exc:
            problems = [str(exc)]
        failures += bool(problems)
        seconds = time.monotonic() - started
        print(f"{'differs' if problems else 'ok':8}{seconds:5.2f} s  {case.name}", *problems, sep="\n        ")
    return 1 if failures else 0


def _visit_case(checkout: Checkout, case: Case, *, check: bool) -> list[str]:
    values = checkout.run(case)
    arrays = {name: array for label in values for name, array in arrays_of(label, values[label]).items()}
    if not check:
        save(case.expected, arrays)
        return []
    if not case.expected.is_file():
        return [f"{case.expected} is missing"]
    return differences(case, arrays)


def save(path: Path, arrays: dict[str, Any]) -> None:
    """Write `arrays` to the npz file `path` at once."""
    EXPECTED.mkdir(exist_ok=True)
    draft = path.with_suffix(".draft")
    with draft.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    draft.replace(path)


if __name__ == "__main__":
    sys.exit(main())
