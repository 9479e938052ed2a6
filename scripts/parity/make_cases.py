"""Write `tests/parity/cases.json` from the case lists.

python -m scripts.parity.make_cases
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

from scripts.parity.case_file import CASES, EXPECTED, Case, write_cases

LISTS = (
    "pictures", "families", "samplers", "schedules", "custom_sampling", "conditionings", "latents", "inpainting",
    "images", "inputs", "masks", "prompts", "values", "further_sampling", "further_latents", "further_images",
    "model_patches", "loras", "upscaling", "controls", "texts_and_alpha", "sampler_nodes", "found_at_random",
)  # fmt: skip


def all_cases() -> Iterator[Case]:
    """Every case of every list, in the order in which they stand in the file."""
    for name in LISTS:
        yield from importlib.import_module(f"scripts.parity.case_lists.{name}").cases()


def main() -> None:
    """Write the file and remove the expected values of cases that are no more."""
    cases = list(all_cases())
    write_cases(cases)
    names = {case.name for case in cases}
    for path in EXPECTED.glob("*.npz"):
        if path.stem not in names:
            path.unlink()
    print(f"{CASES}: {len(cases)} cases")


if __name__ == "__main__":
    main()
