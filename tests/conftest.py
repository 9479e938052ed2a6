"""What tests of every part share: the generated mini models, and node classes made of a function."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch: for models this small one thread is the fastest

ROOT = Path(__file__).resolve().parents[1]
PARITY = ROOT / "tests" / "parity"


@pytest.fixture(scope="session")
def mini_models() -> Path:
    """A models folder with every mini checkpoint, generated once and kept under .cache."""
    sources = [PARITY / "make_checkpoints.py", PARITY / "shapes.json"]
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()[:16]
    folder = ROOT / ".cache" / "mini-models" / digest
    if not folder.is_dir():
        draft = folder.with_suffix(".draft")
        subprocess.run([sys.executable, str(sources[0]), "--tree", str(draft)], check=True, stdout=subprocess.DEVNULL)
        draft.rename(folder)
    return folder


@pytest.fixture(scope="session")
def node_class() -> Callable[..., type]:
    """`node_class(function, required={...}, returns=("INT",))`: a class of ComfyUI's protocol around a function."""

    def make(
        function: Callable[..., Any],
        *,
        required: dict[str, Any] | None = None,
        optional: dict[str, Any] | None = None,
        hidden: dict[str, Any] | None = None,
        returns: tuple[Any, ...] = (),
        output: bool = False,
        **declared: Any,
    ) -> type:
        inputs = {"required": required or {}, "optional": optional or {}, "hidden": hidden or {}}
        attributes = {
            "INPUT_TYPES": classmethod(lambda cls: inputs),
            "RETURN_TYPES": returns,
            "FUNCTION": "run",
            "OUTPUT_NODE": output,
            "run": staticmethod(function),
        }
        return type("Node", (), {**attributes, **declared})

    return make
