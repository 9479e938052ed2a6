from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from runtime.held_folder import YOUNGEST_S, HeldFolder, remove_left_folders

KILLED = """
import os, sys
from pathlib import Path
from runtime.held_folder import HeldFolder
held = HeldFolder(Path(sys.argv[1]))
(held.path / "input").mkdir()
(held.path / "input" / "private.png").write_bytes(b"x")
os.kill(os.getpid(), 9)
"""


def aged(folder: Path, age_s: float = YOUNGEST_S + 1) -> None:
    os.utime(folder, (time.time() - age_s,) * 2)


@pytest.fixture
def left(tmp_path: Path) -> Path:
    """What a process left that was killed while it held a folder."""
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    (folder,) = tmp_path.iterdir()
    aged(folder)
    return folder


def test_what_a_killed_process_left_is_removed(left: Path, tmp_path: Path) -> None:
    assert (left / "input" / "private.png").exists()
    assert remove_left_folders(tmp_path) == 1
    assert list(tmp_path.iterdir()) == []


def test_what_is_held_or_young_or_another_s_stays(left: Path, tmp_path: Path) -> None:
    held = HeldFolder(tmp_path)
    aged(held.path)
    aged(left, YOUNGEST_S - 60)
    (tmp_path / "comfyui-serverless-link").symlink_to(left)
    os.utime(tmp_path / "comfyui-serverless-link", (1, 1), follow_symlinks=False)
    (tmp_path / "comfyui-serverless-file").touch()
    (tmp_path / "else").mkdir()
    for other in ("comfyui-serverless-file", "else"):
        aged(tmp_path / other)
    assert remove_left_folders(tmp_path) == 0
    held.let_go()
    assert remove_left_folders(tmp_path) == 1
    assert not held.path.exists()
    assert left.exists()


def test_a_folder_that_is_not_there_has_nothing_left_in_it(tmp_path: Path) -> None:
    assert remove_left_folders(tmp_path / "none") == 0
