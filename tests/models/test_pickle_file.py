from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from runtime.errors import ModelCorrupt, ModelUnsafe
from runtime.models.pickle_file import PickleFile, load_pickle

CPU = torch.device("cpu")


class Command:
    """Runs a command when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self._trace = trace

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str]]:
        return os.system, (f"touch {self._trace}",)


def _write_plainly(content: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def _write_old(content: Any, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize("write", [torch.save, _write_old], ids=["zip", "legacy"])
@pytest.mark.parametrize("is_nested", [False, True], ids=["bare", "under state_dict"])
def test_the_tensors_of_a_torch_file_are_read(tmp_path: Path, write: Callable[..., None], is_nested: bool) -> None:
    tensors = {"weight": torch.arange(6.0).reshape(2, 3).half(), "ids": torch.arange(4)}
    path = tmp_path / "model.ckpt"
    write({"state_dict": tensors, "epoch": 3} if is_nested else tensors, path)
    with PickleFile(path) as file:
        assert file.shapes == {"weight": (2, 3), "ids": (4,)}
        read = file.tensors(["weight", "ids"], device=CPU, dtype=torch.float32)
    assert torch.equal(read["weight"], torch.arange(6.0).reshape(2, 3))
    assert torch.equal(read["ids"], torch.arange(4))


@pytest.mark.parametrize("write", [torch.save, _write_old, _write_plainly], ids=["zip", "legacy", "plain"])
def test_a_pickle_that_would_run_code_is_unsafe_and_does_not_run(tmp_path: Path, write: Callable[..., None]) -> None:
    trace, path = tmp_path / "trace", tmp_path / "model.ckpt"
    write({"state_dict": Command(trace)}, path)
    with pytest.raises(ModelUnsafe, match=r"model\.ckpt"):
        PickleFile(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        pytest.param(b"", "whole PyTorch file", id="empty"),
        pytest.param(b"<!DOCTYPE html><html></html>", "a web page", id="html"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "Git LFS", id="git-lfs"),
        pytest.param(b"PK\x03\x04" + b"\0" * 100, "whole PyTorch file", id="broken zip"),
        pytest.param(b"\x00\x01\x02" * 50, "PyTorch file", id="noise"),
    ],
)
def test_a_file_that_is_no_torch_file_is_corrupt(tmp_path: Path, content: bytes, fault: str) -> None:
    path = tmp_path / "model.ckpt"
    path.write_bytes(content)
    with pytest.raises(ModelCorrupt, match=fault) as refused:
        PickleFile(path)
    assert str(path) in refused.value.message


def test_a_truncated_torch_file_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "model.ckpt"
    torch.save({"weight": torch.ones(1000)}, path)
    path.write_bytes(path.read_bytes()[:-500])
    with pytest.raises(ModelCorrupt, match="not a whole PyTorch file"):
        PickleFile(path)


def test_a_torch_file_without_tensors_by_name_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save([torch.ones(2)], path)
    with pytest.raises(ModelCorrupt, match="holds a list"):
        PickleFile(path)


def test_what_lies_beside_tensors_can_be_had_too(tmp_path: Path) -> None:
    path = tmp_path / "embedding.pt"
    torch.save({"string_to_param": {"*": torch.ones(2, 3)}, "name": "cat"}, path)
    assert load_pickle(path)["name"] == "cat"
