from __future__ import annotations

import hashlib
import random
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from runtime.errors import ModelCorrupt, ModelUnsafe
from runtime.models import large_read
from runtime.models.reader import read_tensors
from runtime.models.safetensors_file import SafetensorsFile
from runtime.models.staging import STAGING_BYTES
from scripts.parity.pretended_gpu import pretended_gpu

CPU, GPU = torch.device("cpu"), torch.device("cuda")
WriteRaw = Callable[..., Path]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of more than a chunk, its tensors of many dtypes and sizes, some empty, in three parts."""
    path = tmp_path_factory.mktemp("models") / "checkpoint.safetensors"
    generator = torch.Generator().manual_seed(0)
    dtypes = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
    parts = ("vae.", "unet.", "text.")
    tensors = {
        f"{parts[index % 3]}{index}": torch.randn(7 * index % 60 * 100, 29, generator=generator).to(dtypes[index % 4])
        for index in range(60)
    }
    save_file({**tensors, "text.ids": torch.arange(77)}, path, metadata={"format": "pt"})
    return path


@pytest.fixture(params=[True, False], ids=["cached", "not cached"])
def cached(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the page cache is taken to have every file."""
    monkeypatch.setattr(large_read, "is_cached", lambda *_: request.param)
    return bool(request.param)


@pytest.mark.usefixtures("cached")
def test_a_file_is_read_as_the_safetensors_library_reads_it(checkpoint: Path) -> None:
    found, expected = read_tensors(checkpoint, device=CPU), load_file(checkpoint)
    assert found.tensors.keys() == expected.keys()
    assert all(torch.equal(found.tensors[name], expected[name]) for name in expected)
    assert all(found.tensors[name].dtype == expected[name].dtype for name in expected)
    assert found.metadata == {"format": "pt"}


@pytest.mark.usefixtures("cached")
@pytest.mark.parametrize("dtype", [None, torch.float32, torch.float16], ids=str)
@pytest.mark.parametrize("device", [CPU, GPU], ids=str)
def test_tensors_are_the_same_on_every_device_and_in_every_dtype(
    checkpoint: Path, dtype: torch.dtype | None, device: torch.device
) -> None:
    with SafetensorsFile(checkpoint) as file, pretended_gpu():
        found = file.tensors(file.shapes, device=device, dtype=dtype)
        assert {tensor.device.type for tensor in found.values()} == {device.type}
        back = {name: tensor.cpu() for name, tensor in found.items()}
    for name, stored in load_file(checkpoint).items():
        expected = stored.to(dtype) if dtype is not None and stored.is_floating_point() else stored
        assert torch.equal(back[name], expected), name


@pytest.mark.usefixtures("cached")
def test_what_is_written_to_a_tensor_does_not_reach_the_file(checkpoint: Path) -> None:
    before = checkpoint.read_bytes()
    for tensor in read_tensors(checkpoint, device=CPU).tensors.values():
        tensor.zero_()
    assert checkpoint.read_bytes() == before


def test_the_file_is_read_in_the_order_that_is_asked_for(checkpoint: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[set[str]] = []

    def tensors(self: SafetensorsFile, names: list[str], **wanted: Any) -> dict[str, torch.Tensor]:
        asked.append({name.partition(".")[0] for name in names})
        return {name: self.tensor(name, **wanted) for name in names}

    monkeypatch.setattr(SafetensorsFile, "tensors", tensors)
    found = read_tensors(checkpoint, device=CPU, order=("text.", "unet.")).tensors
    assert asked == [{"text"}, {"unet"}, {"vae"}]
    assert found.keys() == load_file(checkpoint).keys()


def test_the_networks_of_a_checkpoint_can_be_let_go_one_by_one(
    checkpoint: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(large_read, "is_cached", lambda *_: False)
    tensors = read_tensors(checkpoint, device=CPU).tensors
    memory: dict[str, set[int]] = {}
    for name, tensor in tensors.items():
        if tensor.numel():
            memory.setdefault(name.partition(".")[0], set()).add(tensor.untyped_storage().data_ptr())
    assert [len(of_part) for of_part in memory.values()] == [1, 1, 1]
    assert len(set.union(*memory.values())) == 3


@pytest.mark.parametrize("device", [CPU, GPU], ids=str)
def test_a_file_larger_than_the_ring_goes_round_in_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: torch.device
) -> None:
    monkeypatch.setattr(large_read, "is_cached", lambda *_: False)
    count = (STAGING_BYTES + (24 << 20)) // 4
    save_file({"weight": torch.arange(count, dtype=torch.int32)}, tmp_path / "a.safetensors")
    with pretended_gpu():
        tensor = read_tensors(tmp_path / "a.safetensors", device=device).tensors["weight"].cpu()
    assert torch.equal(tensor, torch.arange(count, dtype=torch.int32))


@pytest.mark.usefixtures("cached")
def test_tensors_off_their_alignment_are_read_beside_the_others(write_raw: WriteRaw) -> None:
    values = torch.arange(500_000, dtype=torch.float32)
    data = b"\1" + values.numpy().tobytes() + b"\0\0\0" + values.numpy().tobytes()
    header = {
        "flag": {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]},
        "off": {"dtype": "F32", "shape": [500_000], "data_offsets": [1, 2_000_001]},
        "pad": {"dtype": "U8", "shape": [3], "data_offsets": [2_000_001, 2_000_004]},
        "on": {"dtype": "F32", "shape": [500_000], "data_offsets": [2_000_004, 4_000_004]},
    }
    found = read_tensors(write_raw(header, data), device=CPU).tensors
    assert torch.equal(found["off"], values)
    assert torch.equal(found["on"], values)


@pytest.mark.parametrize("device", [CPU, GPU], ids=str)
def test_a_file_cut_short_while_it_is_open_is_corrupt(
    checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: torch.device
) -> None:
    monkeypatch.setattr(large_read, "is_cached", lambda *_: False)
    path = tmp_path / "cut.safetensors"
    path.write_bytes(checkpoint.read_bytes())
    with SafetensorsFile(path) as file, pretended_gpu():
        with path.open("r+b") as other:
            other.truncate(3_000_000)
        with pytest.raises(ModelCorrupt):
            file.tensors(file.shapes, device=device)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read")]


def _flip_bit(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _flip_header_bit(data: bytearray, chance: random.Random) -> None:
    data[chance.randrange(8 + int.from_bytes(data[:8], "little"))] ^= 1 << chance.randrange(8)


def _truncate(data: bytearray, chance: random.Random) -> None:
    del data[chance.randrange(len(data)) :]


def _append(data: bytearray, chance: random.Random) -> None:
    data += chance.randbytes(chance.randrange(1, 5000))


def _zero_page(data: bytearray, chance: random.Random) -> None:
    begin = chance.randrange(0, len(data), 4096)
    data[begin : begin + 4096] = bytes(len(data[begin : begin + 4096]))


def _other_length(data: bytearray, chance: random.Random) -> None:
    data[:8] = chance.choice([chance.randrange(2**16), chance.randrange(2**64)]).to_bytes(8, "little")


def _other_number(data: bytearray, chance: random.Random) -> None:
    """Another digit, or a sign or exponent, somewhere in the header."""
    end = 8 + int.from_bytes(data[:8], "little")
    digits = [place for place in range(8, end) if data[place : place + 1].isdigit()]
    data[chance.choice(digits)] = chance.choice(b"0123456789-e.")


_FAULTS = (_flip_bit, _flip_header_bit, _truncate, _append, _zero_page, _other_length, _other_number)


@pytest.mark.parametrize("cached", [True, False], ids=["cached", "not cached"], indirect=True)
@pytest.mark.parametrize("count", [pytest.param(70, id="some"), pytest.param(500, id="all", marks=pytest.mark.slow)])
def test_a_corrupted_file_is_refused_or_read_as_its_bytes_say_and_never_has_the_right_hash(
    tmp_path: Path, cached: bool, count: int
) -> None:
    path, chance = tmp_path / "model.safetensors", random.Random(int(cached))
    generator = torch.Generator().manual_seed(0)
    tensors = {f"layer.{index}": torch.randn(400, 100 + index, generator=generator) for index in range(8)}
    save_file({**tensors, "scale": torch.tensor(4.6)}, path)
    whole = path.read_bytes()
    refused = 0
    for index in range(count):
        data = bytearray(whole)
        while data == whole:
            _FAULTS[index % len(_FAULTS)](data, chance)
        path.write_bytes(data)
        assert hashlib.sha256(path.read_bytes()).digest() != hashlib.sha256(whole).digest()
        refused += not _is_read_as_it_is(path, bytes(data))
    assert refused > count * 0.6


def _is_read_as_it_is(path: Path, data: bytes) -> bool:
    """Whether the file was taken; then its tensors must be exactly those of its bytes."""
    try:
        with SafetensorsFile(path) as file:
            tensors = file.tensors(file.shapes, device=CPU)
            entries = file.header.tensors
    except (ModelCorrupt, ModelUnsafe):
        return False
    for name, entry in entries.items():
        assert tensors[name].contiguous().view(-1).view(torch.uint8).numpy().tobytes() == data[entry.begin : entry.end]
    return True
