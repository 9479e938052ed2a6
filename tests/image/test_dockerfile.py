from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.engines.comfyui.internals import PINNED_RELEASE

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = ROOT / "Dockerfile.gpu"
TEXT = DOCKERFILE.read_text()


def copied_from_here() -> set[str]:
    """The files and folders of ours that a stage copies."""
    lines = re.findall(r"^COPY (?!--from)(.*)$", TEXT, re.MULTILINE)
    return {word for line in lines for word in line.split()[:-1] if not word.startswith("--")}


def test_hadolint_finds_nothing() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    done = subprocess.run([linter, DOCKERFILE], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_it_installs_exactly_the_release_that_the_engine_is_held_against() -> None:
    assert re.findall(r"ARG COMFYUI_VERSION=(\S+)", TEXT) == [PINNED_RELEASE]


@pytest.mark.parametrize("copied", sorted(copied_from_here()))
def test_what_it_copies_is_there(copied: str) -> None:
    assert (ROOT / copied).exists()


def test_it_does_not_run_as_root() -> None:
    stages = TEXT.split("\nFROM ")
    for stage in stages:
        if " AS native" in stage or " AS comfyui" in stage:
            assert stage.rstrip().endswith("USER 1000")


def test_nothing_private_is_copied() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert {".git", "**/.env", "data", "models", ".venv"} <= set(ignored)


def test_the_image_with_comfyui_says_its_licence_and_offers_the_source() -> None:
    stage = TEXT.split("\nFROM ")[-1]
    assert 'licenses="GPL-3.0-or-later"' in stage
    assert "source-offer=" in stage
    assert "custom_node_licences.txt" in TEXT


def stage(name: str) -> str:
    (found,) = [text for text in TEXT.split("\nFROM ") if re.match(rf"\S+ AS {name}\n", text)]
    return found


def test_nodes_that_cannot_be_imported_fail_the_build() -> None:
    assert "python -m scripts.image.check_nodes" in stage("checked")
    assert "COPY --from=checked " in stage("comfyui")


@pytest.mark.parametrize("name", ["build", "build-comfyui"])
def test_what_installs_is_not_built_again_for_a_change_of_code(name: str) -> None:
    lines = re.findall(r"^COPY (?!--from)(.*)$", stage(name), re.MULTILINE)
    copied = {word for line in lines for word in line.split()[:-1]}
    assert copied <= {"constraints.txt", "pyproject.toml", "LICENSE", "scripts/image/custom_nodes.py"}
