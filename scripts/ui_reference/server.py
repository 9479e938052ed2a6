"""A ComfyUI checkout's own server on the CPU, with the stand-ins for packages that need not be installed.

    python -m scripts.ui_reference.server CHECKOUT --port 8188 ...

The arguments after the checkout are ComfyUI's own.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

from scripts.parity import stand_ins


def main(arguments: list[str]) -> None:
    """Become ComfyUI's `main.py` of the checkout that the first argument names."""
    program = Path(arguments[0]) / "main.py"
    stand_ins.install_absent()
    sys.path.insert(0, str(program.parent))
    sys.argv = [str(program), "--cpu", "--disable-auto-launch", "--database-url", "sqlite:///:memory:", *arguments[1:]]
    runpy.run_path(str(program), run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1:])
