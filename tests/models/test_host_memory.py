from __future__ import annotations

import gc
from unittest import mock

import pytest
import torch

from runtime.models.host_memory import bytes_on, large_memory, will_go_to_gpu


class Cuda:
    """CUDA's register of memory that the GPU may read by itself; `error` is what it answers."""

    def __init__(self, error: int = 0) -> None:
        self.locked: dict[int, int] = {}
        self.error = error

    def cudaHostRegister(self, address: int, size_bytes: int, flags: int) -> int:
        if self.error == 0:
            self.locked[address] = size_bytes
        return self.error

    def cudaHostUnregister(self, address: int) -> None:
        del self.locked[address]


def test_it_begins_on_a_large_page_and_is_written_like_any_tensor() -> None:
    memory = large_memory(5_000_001)
    assert (memory.data_ptr() % (2 << 20), len(memory)) == (0, 5_000_001)
    assert not memory.any()
    memory.fill_(7)
    assert memory[-1] == 7


def test_it_lives_as_long_as_a_view_of_it() -> None:
    view = large_memory(4096)[100:200].view(torch.float16)
    gc.collect()
    assert torch.equal(view.fill_(1), torch.ones(50, dtype=torch.float16))


def test_memory_locked_for_the_gpu_is_unlocked_when_the_last_view_of_it_goes() -> None:
    cuda = Cuda()
    with mock.patch.object(torch.cuda, "cudart", return_value=cuda):
        view = large_memory(4096, locked=True)[10:]
        assert cuda.locked == {view.data_ptr() - 10: 4096}
        del view
        gc.collect()
        assert cuda.locked == {}


def test_memory_that_cannot_be_locked_serves_unlocked(caplog: pytest.LogCaptureFixture) -> None:
    with mock.patch.object(torch.cuda, "cudart", return_value=Cuda(error=2)):
        large_memory(4096, locked=True).fill_(1)
    assert "could not be locked for the GPU (CUDA error 2)" in caplog.text


def test_without_a_gpu_at_work_nothing_is_locked() -> None:
    assert not will_go_to_gpu()
    assert bytes_on(torch.device("cpu"), 10).device.type == "cpu"
