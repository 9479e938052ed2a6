from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from runtime.models.reader import read_tensors
from scripts.bench import slow_volume

ROOT = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.skipif(slow_volume.why_not() is not None, reason=slow_volume.why_not() or "")


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Path]:
    """A volume without latency that has `a.safetensors`, of some chunks and a rest."""
    folder, mountpoint = tmp_path / "folder", tmp_path / "mounted"
    folder.mkdir()
    mountpoint.mkdir()
    save_file({"a": torch.arange(3_000_001), "b": torch.ones(7, 11)}, folder / "a.safetensors")
    command = [sys.executable, "-m", "scripts.bench.slow_volume", str(folder), str(mountpoint), "--latency-ms", "0"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        if server.stdout.readline() != "ready\n":
            pytest.skip("this user may not mount with fusermount3")
        yield mountpoint
        server.stdin.close()


def test_a_file_behind_fuse_is_read_like_any_other(mounted: Path, tmp_path: Path) -> None:
    path = mounted / "a.safetensors"
    assert path.read_bytes() == (tmp_path / "folder" / "a.safetensors").read_bytes()
    tensors = read_tensors(path, device=torch.device("cpu")).tensors
    assert torch.equal(tensors["a"], torch.arange(3_000_001))
    assert torch.equal(tensors["b"], torch.ones(7, 11))


def test_what_is_not_there_is_not_there(mounted: Path) -> None:
    assert not (mounted / "b.safetensors").exists()
