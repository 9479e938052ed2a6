"""In processes of their own: a process takes one ComfyUI."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
COMFYUI = ROOT / "tests" / "engines" / "comfyui"


def check(nodes: Path, comfyui: Path = COMFYUI / "stand_in") -> subprocess.CompletedProcess[str]:
    places = {"COMFYUI_PATH": str(comfyui), "COMFYUI_CUSTOM_NODES_PATH": str(nodes)}
    return subprocess.run(
        [sys.executable, "-m", "scripts.image.check_nodes"],
        cwd=ROOT,
        env={**os.environ, **places},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(("package", "status"), [("own_pack.py", 0), ("broken_pack.py", 1)], ids=["whole", "broken"])
def test_a_package_that_cannot_be_imported_fails_the_build(tmp_path: Path, package: str, status: int) -> None:
    shutil.copy(COMFYUI / "custom_nodes" / package, tmp_path)
    done = check(tmp_path)
    assert done.returncode == status, done.stderr
    assert ("broken_pack cannot be imported: " in done.stderr) is bool(status)


def test_a_folder_without_comfyui_is_named(tmp_path: Path) -> None:
    done = check(tmp_path, comfyui=tmp_path)
    assert done.returncode == 1
    assert str(tmp_path) in done.stderr
