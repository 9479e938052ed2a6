"""Imports ComfyUI and every package of nodes once, on the CPU, while an image is built: what fails ends the build.

COMFYUI_PATH=/opt/comfyui python -m scripts.image.check_nodes
"""

from __future__ import annotations

import os
import sys

from runtime.build import build_comfyui
from runtime.errors import ServerlessError
from runtime.settings import Settings


def main() -> int:
    """Import them. Answers 1 where one cannot be, and says which and why."""
    try:
        engine = build_comfyui(Settings.from_env({**os.environ, "DEVICE": "cpu"}))
        health = engine.boot()
    except ServerlessError as exc:
        print(f"nodes: {exc.message}", file=sys.stderr)
        return 1
    for name, failure in health["failed_packages"].items():
        print(f"nodes: {name} cannot be imported: {failure}", file=sys.stderr)
    print(f"ComfyUI {health['release']} has {health['nodes']} node types here")
    return 1 if health["failed_packages"] else 0


if __name__ == "__main__":
    sys.exit(main())
