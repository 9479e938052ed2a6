"""Large pieces of the CPU's memory for tensors, which a GPU can be given to read by itself."""

from __future__ import annotations

import contextlib
import logging
import mmap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

_HUGE_PAGE_BYTES = 2 * 1024 * 1024

_log = logging.getLogger(__name__)


class _Memory(mmap.mmap):
    """Fresh memory of this process; unlocked, where it was locked for the GPU, before it goes back to the system."""

    _locked_at: int | None = None

    def lock(self, address: int, size_bytes: int) -> None:
        """Keep the pages where they are and let the GPU read them: its copies then run at the bus's own speed."""
        error = _cuda().cudart().cudaHostRegister(address, size_bytes, 0)
        if int(error) != 0:
            _log.warning("%d MB of memory could not be locked for the GPU (CUDA error %s)", size_bytes >> 20, error)
            return
        self._locked_at = address

    def __del__(self) -> None:
        if self._locked_at is not None:
            _cuda().cudart().cudaHostUnregister(self._locked_at)


def large_memory(size_bytes: int, *, locked: bool = False) -> Tensor:
    """So many fresh bytes in large pages, which the kernel hands out many times faster than small ones.

    `locked` is for what goes to a GPU later on. They live as long as anything that looks at them.
    """
    import torch

    mapped = _Memory(-1, size_bytes + _HUGE_PAGE_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with contextlib.suppress(OSError):  # a kernel without them: small pages serve as well
            mapped.madvise(mmap.MADV_HUGEPAGE)
    whole = torch.frombuffer(mapped, dtype=torch.uint8)
    start = -whole.data_ptr() % _HUGE_PAGE_BYTES
    memory = whole[start : start + size_bytes]
    if locked and size_bytes:
        mapped.lock(memory.data_ptr(), size_bytes)
    return memory


def bytes_on(device: Any, size_bytes: int, *, locked: bool = False) -> Tensor:
    """So many bytes on a device: `large_memory` on a CPU."""
    import torch

    if device.type == "cpu":
        return large_memory(size_bytes, locked=locked)
    return torch.empty(size_bytes, dtype=torch.uint8, device=device)


def will_go_to_gpu() -> bool:
    """Whether this process has a GPU at work, so that memory may be locked for it. Touches no GPU itself."""
    return bool(_cuda().is_initialized())


def _cuda() -> Any:
    """`torch.cuda`, which is not typed throughout."""
    import torch

    return torch.cuda
