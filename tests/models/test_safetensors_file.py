from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from runtime.errors import ModelCorrupt
from runtime.models.safetensors_file import SafetensorsFile
from scripts.parity.pretended_gpu import pretended_gpu

CPU = torch.device("cpu")
WriteRaw = Callable[..., Path]


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """A file with a tensor of each common dtype, one larger than a piece of reading, one empty, one scalar."""
    path = tmp_path / "mixed.safetensors"
    generator = torch.Generator().manual_seed(0)
    tensors = {
        "half": torch.randn(300, 411, generator=generator).half(),
        "brain": torch.randn(7, 3, generator=generator).bfloat16(),
        "single": torch.randn(5, 2, 3, 3, generator=generator),
        "ids": torch.arange(77)[None],
        "scale": torch.tensor(4.6052, dtype=torch.float16),
        "v_pred": torch.empty(0),
    }
    save_file(tensors, path)
    return path


@pytest.mark.parametrize("dtype", [None, torch.float32, torch.float16, torch.bfloat16], ids=str)
def test_tensors_are_those_of_the_safetensors_library(mixed: Path, dtype: torch.dtype | None) -> None:
    with SafetensorsFile(mixed) as file:
        ours = file.tensors(file.shapes, device=CPU, dtype=dtype)
    for name, expected in load_file(mixed).items():
        wanted = expected.to(dtype) if dtype is not None and expected.is_floating_point() else expected
        assert torch.equal(ours[name], wanted), name
        assert ours[name].dtype == wanted.dtype, name


@pytest.mark.parametrize("dtype", [None, torch.float16], ids=str)
def test_a_gpu_gets_the_same_tensors(mixed: Path, dtype: torch.dtype | None) -> None:
    with SafetensorsFile(mixed) as file, pretended_gpu():
        theirs = file.tensors(file.shapes, device=torch.device("cuda"), dtype=dtype)
        assert {str(tensor.device) for tensor in theirs.values()} == {"cuda:0"}
        back = {name: tensor.cpu() for name, tensor in theirs.items()}
    with SafetensorsFile(mixed) as file:
        for name, expected in file.tensors(file.shapes, device=CPU, dtype=dtype).items():
            assert torch.equal(back[name], expected), name
            assert back[name].dtype == expected.dtype, name


def test_a_tensor_that_stays_as_it_is_stored_is_mapped_and_not_copied(mixed: Path) -> None:
    with SafetensorsFile(mixed) as file:
        first, second = (file.tensor("half", device=CPU, dtype=torch.float16) for _ in range(2))
    assert first.data_ptr() == second.data_ptr()


def test_a_converted_tensor_does_not_share_the_buffer_that_it_was_read_through(mixed: Path) -> None:
    with SafetensorsFile(mixed) as file:
        before = file.tensor("brain", device=CPU, dtype=torch.float32)
        kept = before.clone()
        file.tensor("half", device=CPU, dtype=torch.float32)
    assert torch.equal(before, kept)


def test_tensors_outlive_the_file_and_its_name(mixed: Path) -> None:
    with SafetensorsFile(mixed) as file:
        tensor = file.tensor("single", device=CPU)
    expected = load_file(mixed)["single"].clone()
    mixed.unlink()
    assert torch.equal(tensor, expected)


def test_writing_to_a_mapped_tensor_does_not_reach_the_file(mixed: Path) -> None:
    with SafetensorsFile(mixed) as file:
        file.tensor("single", device=CPU).zero_()
    with SafetensorsFile(mixed) as file:
        assert file.tensor("single", device=CPU).any()


def test_a_tensor_off_its_alignment_is_read_all_the_same(write_raw: WriteRaw) -> None:
    header = {
        "flag": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "weight": {"dtype": "F32", "shape": [7], "data_offsets": [1, 29]},
        "rest": {"dtype": "U8", "shape": [3], "data_offsets": [29, 32]},
    }
    values = torch.arange(7, dtype=torch.float32)
    path = write_raw(header, b"\1" + values.numpy().tobytes() + b"\0\0\0")
    with SafetensorsFile(path) as file:
        assert torch.equal(file.tensor("weight", device=CPU), values)


def test_a_file_cut_while_it_is_open_is_corrupt_and_no_wrong_tensor(mixed: Path) -> None:
    with SafetensorsFile(mixed) as file:
        entry = file.header.tensors["half"]
        with mixed.open("r+b") as other:
            other.truncate(entry.begin + 100)
        with pytest.raises(ModelCorrupt, match="ended at byte"):
            file.tensor("half", device=CPU, dtype=torch.float32)
