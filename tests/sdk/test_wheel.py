"""The published wheel: the client and the command, and nothing of the worker."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, check=True, cwd=ROOT, capture_output=True)
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("installed")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_it_holds_the_client_package_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        tops = {name.partition("/")[0] for name in archive.namelist()}
    assert {name for name in tops if not name.endswith(".dist-info")} == {"comfyui_serverless"}


def test_it_imports_where_nothing_else_is_installed(installed: Path) -> None:
    answer = _run(installed, "import comfyui_serverless.command; print('torch' in sys.modules)")
    assert answer.stdout.strip() == "False"


def test_a_verb_of_the_bundle_says_how_to_get_it(installed: Path) -> None:
    answer = _run(installed, "from comfyui_serverless.command import main; sys.exit(main(['run', 'a.json']))")
    assert answer.returncode == 2
    assert "clone the repository" in answer.stderr


def _run(installed: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run `code` with the standard library and the wheel's files, without site-packages."""
    whole = f"import sys; sys.path.insert(0, {str(installed)!r}); {code}"
    return subprocess.run([sys.executable, "-S", "-E", "-c", whole], capture_output=True, text=True, cwd=installed)
