from __future__ import annotations

import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.errors import ModelCorrupt
from runtime.models import host_memory
from runtime.models.parallel_read import CHUNK_BYTES, PAGE_BYTES, ParallelFile


def large_memory(size_bytes: int) -> memoryview:
    return host_memory.large_memory(size_bytes).numpy().data


SIZE = 3 * CHUNK_BYTES + 12_345
CHUNKS = range(0, SIZE, CHUNK_BYTES)


@pytest.fixture(scope="module")
def content() -> bytes:
    return random.Random(0).randbytes(SIZE)


@pytest.fixture
def path(tmp_path: Path, content: bytes) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(content)
    return path


@pytest.fixture(params=[True, False], ids=["direct", "through the page cache"])
def file(path: Path, request: pytest.FixtureRequest) -> Iterator[ParallelFile]:
    with path.open("rb") as opened:
        number = opened.fileno()
        with ParallelFile(path, number, direct=request.param, status=os.fstat(number)) as parallel:
            yield parallel


def test_the_whole_file_comes_in_its_order(file: ParallelFile, content: bytes) -> None:
    memory = large_memory(SIZE + -SIZE % PAGE_BYTES)
    file.read_all((at, memory[at : at + CHUNK_BYTES]) for at in CHUNKS)
    assert memory[:SIZE] == content


@pytest.mark.parametrize(("at", "size"), [(0, 100), (4096, 100), (513, 4096), (SIZE - 7, 7)], ids=str)
def test_any_place_and_size_can_be_read(file: ParallelFile, content: bytes, at: int, size: int) -> None:
    memory = bytearray(size)
    file.read(at, memoryview(memory))
    assert memory == content[at : at + size]


def test_memory_that_the_device_cannot_write_to_is_filled_all_the_same(file: ParallelFile, content: bytes) -> None:
    memory = memoryview(bytearray(2 * PAGE_BYTES + 1))[1:]
    file.read(0, memory)
    assert memory == content[: 2 * PAGE_BYTES]


def test_a_file_that_became_shorter_is_corrupt(file: ParallelFile) -> None:
    os.truncate(file.path, CHUNK_BYTES)
    memory = large_memory(CHUNK_BYTES)
    with pytest.raises(ModelCorrupt, match="ended at byte"):
        file.read_all([(at, memory) for at in CHUNKS])


def test_a_file_that_was_written_to_meanwhile_is_corrupt(file: ParallelFile) -> None:
    with file.path.open("r+b") as other:
        other.write(b"new")
    os.utime(file.path, ns=(1, 1))
    with pytest.raises(ModelCorrupt, match="was written to"):
        file.read_all([(0, large_memory(CHUNK_BYTES))])


def test_another_file_under_its_name_is_not_read(file: ParallelFile, content: bytes) -> None:
    (file.path.parent / "new").write_bytes(bytes(SIZE))
    os.replace(file.path.parent / "new", file.path)
    memory = large_memory(PAGE_BYTES)
    file.read(0, memory)
    assert memory == content[:PAGE_BYTES]


def test_no_thread_or_descriptor_is_left(path: Path) -> None:
    with path.open("rb") as opened:
        before = os.listdir("/proc/self/fd")
        number = opened.fileno()
        with ParallelFile(path, number, direct=True, status=os.fstat(number)) as parallel:
            parallel.read_all([(at, large_memory(CHUNK_BYTES)) for at in CHUNKS])
        assert os.listdir("/proc/self/fd") == before
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("read")]
