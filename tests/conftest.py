"""What tests of every part share: the generated mini models."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import pytest

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
