"""Write the checkpoint that the example draws with, unless it is there: `python -m scripts.make_example_model`.

It has SD 1.x's layout at a fraction of the width, and random weights: the one that the parity tests use.
"""

from __future__ import annotations

import runpy
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
NAME = "sd1_mini"


def main() -> None:
    """Write it beside and rename it, so that it is whole whenever it is there."""
    folder = ROOT / "models" / "checkpoints"
    target = folder / f"{NAME}.safetensors"
    if target.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    write = runpy.run_path(str(ROOT / "tests" / "parity" / "make_checkpoints.py"))["write"]
    with tempfile.TemporaryDirectory(dir=folder, prefix=".") as draft:
        write(NAME, Path(draft)).rename(target)


if __name__ == "__main__":
    main()
