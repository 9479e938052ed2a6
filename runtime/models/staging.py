"""From a file into tensors of another device or dtype: reads, copies and conversions overlap in a ring of buffers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from runtime.models.host_memory import large_memory
from runtime.models.parallel_read import CHUNK_BYTES, THREADS, ParallelFile
from runtime.models.spans import Span

if TYPE_CHECKING:
    import torch
    from torch import Tensor

STAGING_BYTES = 2 * THREADS * CHUNK_BYTES
"""The size of the ring: while one half of it is read, the other is copied."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """Where the values of a tensor go: `flat` of any device and dtype; the file has them as `stored`."""

    flat: Tensor
    stored: torch.dtype


class Transfer(Protocol):
    """How values go from the ring to a device."""

    def ring(self, size_bytes: int) -> Tensor:
        """The bytes of the ring, from a whole page on."""

    def copy(self, source: Tensor, target: Tensor) -> None:
        """Bring the values of `source`, in the ring, into `target`; perhaps not before `wait` of a later mark."""

    def mark(self, slot: int) -> None:
        """Remember what was copied so far under the number of the slot that it came from."""

    def wait(self, slot: int) -> None:
        """Return when what was copied before the slot's mark has left the ring."""

    def finish(self) -> None:
        """Return when everything has."""


def fill(file: ParallelFile, spans: Sequence[Span], targets: Mapping[str, Target], transfer: Transfer) -> None:
    """Read `spans` in their order and give `targets` their values. Raises ModelCorrupt."""
    ring = transfer.ring(STAGING_BYTES)
    slots = [ring[begin : begin + CHUNK_BYTES] for begin in range(0, STAGING_BYTES, CHUNK_BYTES)]
    memories = [slot.numpy().data for slot in slots]
    chunks = [(span, begin, end) for span in spans for begin, end in span.chunks()]
    reads: list[Future[None]] = []

    def deliver(index: int) -> None:
        span, begin, end = chunks[index]
        slot = index % len(slots)
        reads[index].result()
        _deliver(slots[slot], span, begin, end, targets, transfer)
        transfer.mark(slot)

    with ThreadPoolExecutor(THREADS, thread_name_prefix="read") as pool:
        try:
            for index, (_, begin, end) in enumerate(chunks):
                if index >= THREADS:
                    deliver(index - THREADS)
                transfer.wait(index % len(slots))
                reads.append(pool.submit(file.read, begin, memories[index % len(slots)][: end - begin]))
            for index in range(max(0, len(chunks) - THREADS), len(chunks)):
                deliver(index)
        finally:  # also where a read failed: neither ring nor targets may go while the device still copies
            transfer.finish()
    file.check_unchanged()


def _deliver(slot: Tensor, span: Span, begin: int, end: int, targets: Mapping[str, Target], transfer: Transfer) -> None:
    """Copy those values of the span's tensors that lie in its chunk from `begin` to `end`, which `slot` holds."""
    for name, entry in span.overlapping(begin, end):
        target = targets[name]
        size = target.stored.itemsize
        first, last = max(begin, entry.begin), min(end, entry.end)
        source = slot[first - begin : last - begin].view(target.stored)
        transfer.copy(source, target.flat[(first - entry.begin) // size : (last - entry.begin) // size])


class CpuTransfer:
    """Conversion in the CPU's memory, at once."""

    def ring(self, size_bytes: int) -> Tensor:
        return large_memory(size_bytes)

    def copy(self, source: Tensor, target: Tensor) -> None:
        target.copy_(source)

    def mark(self, slot: int) -> None: ...

    def wait(self, slot: int) -> None: ...

    def finish(self) -> None: ...


class CudaTransfer:
    """Asynchronous copies out of pinned memory, on a stream beside the one that computes; the GPU converts."""

    def __init__(self, device: torch.device) -> None:
        import torch

        self._cuda: Any = torch.cuda  # whose streams have no types
        self._device = device
        self._stream = self._cuda.Stream(device)
        self._stream.wait_stream(self._cuda.current_stream(device))  # the targets' memory may still be in use there
        self._marks: dict[int, Any] = {}

    def ring(self, size_bytes: int) -> Tensor:
        import torch

        return torch.empty(size_bytes, dtype=torch.uint8, pin_memory=True)

    def copy(self, source: Tensor, target: Tensor) -> None:
        with self._cuda.stream(self._stream):
            if source.dtype == target.dtype:
                target.copy_(source, non_blocking=True)
            else:
                target.copy_(source.to(self._device, non_blocking=True))

    def mark(self, slot: int) -> None:
        self._marks[slot] = self._cuda.Event()
        self._marks[slot].record(self._stream)

    def wait(self, slot: int) -> None:
        if slot in self._marks:
            self._marks[slot].synchronize()

    def finish(self) -> None:
        self._stream.synchronize()
