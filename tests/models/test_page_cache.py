from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.models.page_cache import is_cached

MEGABYTE = 1 << 20


@pytest.fixture
def file(tmp_path: Path) -> int:
    """An open file of 32 MB that has been written through to its device."""
    descriptor = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.write(descriptor, bytes(32 * MEGABYTE))
    os.fsync(descriptor)
    return descriptor


def _refuses_to_wait(file: int) -> bool:
    try:
        os.preadv(file, [bytearray(1)], 0, os.RWF_NOWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return True


def test_what_was_just_read_is_cached_and_what_was_dropped_is_not(file: int) -> None:
    if not _refuses_to_wait(file):
        pytest.skip("the file system of the temporary folder does not know RWF_NOWAIT")
    os.pread(file, 32 * MEGABYTE, 0)
    assert is_cached(file, 0, 32 * MEGABYTE)
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    if is_cached(file, 31 * MEGABYTE, 32 * MEGABYTE):
        pytest.skip("the file system of the temporary folder lies in memory")
    assert not is_cached(file, 0, 32 * MEGABYTE)


def test_asking_does_not_make_a_file_cached(file: int) -> None:
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    if is_cached(file, 31 * MEGABYTE, 32 * MEGABYTE):
        pytest.skip("the file system of the temporary folder lies in memory")
    assert [is_cached(file, 0, 32 * MEGABYTE) for _ in range(5)] == [False] * 5


def test_a_file_that_is_cached_for_its_beginning_alone_is_not(file: int) -> None:
    os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    if is_cached(file, 31 * MEGABYTE, 32 * MEGABYTE):
        pytest.skip("the file system of the temporary folder lies in memory")
    os.pread(file, 16 * MEGABYTE, 0)
    assert not is_cached(file, 0, 32 * MEGABYTE)


def test_a_file_that_cannot_be_asked_counts_as_not_cached() -> None:
    reading, writing = os.pipe()
    assert not is_cached(reading, 0, MEGABYTE)
    os.close(reading)
    os.close(writing)
