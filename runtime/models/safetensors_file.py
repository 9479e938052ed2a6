"""Tensors out of a safetensors file: mapped, or read in parallel, or piece by piece, as is fastest."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

from runtime.errors import ModelCorrupt
from runtime.models.dtypes import stored_dtype, wanted_dtype
from runtime.models.large_read import read_large
from runtime.models.safetensors_header import SafetensorsHeader, TensorEntry, check_header

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# A piece that is converted on the way stays in the CPU's cache, and is small enough for torch to do it in one thread:
# that is as fast as several, and does not wait for them where the cores are shared. To a GPU each piece is a transfer,
# out of pinned memory, which it reads by itself, and converts it there.
_CPU_PIECE_BYTES = 64 * 1024
_GPU_PIECE_BYTES = 16 * 1024 * 1024


class SafetensorsFile:
    """An open file whose header has been checked; a context manager.

    What the page cache has, and is wanted on the CPU as it is stored, is a view of the file, mapped privately: it costs
    no copy, and writing to it does not reach the file. Many tensors that come from the device are read in parallel. Any
    other is read piece by piece through one small buffer into the memory where it stays. No second copy is ever held.
    Tensors stay valid after the file is closed. A file may be replaced while it is mapped (another file under its
    name), but not be cut short in place.
    """

    def __init__(self, path: Path, *, may_map: bool = True) -> None:
        """Open and check. Without `may_map` every tensor becomes memory of its own, whatever the page cache has.

        Raises ModelCorrupt or ModelUnsafe, naming the file and its fault.
        """
        self.path = path
        self._may_map = may_map
        try:
            self._file = path.open("rb")
        except OSError as exc:
            raise ModelCorrupt(f"{path} cannot be read: {exc.strerror or exc}") from exc
        self._status = os.fstat(self._file.fileno())
        try:
            self.header: SafetensorsHeader = check_header(path, self._file)
        except BaseException:
            self._file.close()
            raise
        self._mapped: mmap.mmap | None = None
        self._buffer: Tensor | None = None

    def __enter__(self) -> SafetensorsFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._file.close()
        self._buffer = None

    @cached_property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every tensor, by name."""
        return {name: entry.shape for name, entry in self.header.tensors.items()}

    def tensors(
        self, names: Iterable[str], *, device: torch.device, dtype: torch.dtype | None = None
    ) -> dict[str, Tensor]:
        """The named tensors on `device`, those of floating point in `dtype` (None: as they are stored).

        Many at once come by large parallel reads, unless the page cache has them for the CPU.
        """
        entries = {name: self.header.tensors[name] for name in names}
        large = read_large(
            self.path,
            self._file.fileno(),
            entries,
            status=self._status,
            device=device,
            dtype=dtype,
            may_map=self._may_map,
        )
        return {
            name: large[name] if name in large else self.tensor(name, device=device, dtype=dtype) for name in entries
        }

    def tensor(self, name: str, *, device: torch.device, dtype: torch.dtype | None = None) -> Tensor:
        """One tensor, as in `tensors`."""
        import torch

        entry = self.header.tensors[name]
        stored = stored_dtype(entry.dtype)
        wanted = wanted_dtype(stored, dtype)
        if entry.size_bytes == 0:
            return torch.empty(entry.shape, dtype=wanted, device=device)
        is_aligned = entry.begin % stored.itemsize == 0
        if self._may_map and device.type == "cpu" and wanted == stored and is_aligned:
            flat = torch.frombuffer(self._map(), dtype=stored, count=_count(entry, stored), offset=entry.begin)
            return flat.view(entry.shape)
        tensor = torch.empty(entry.shape, dtype=wanted, device=device)
        self._read(entry, stored, tensor.view(-1))
        return tensor

    def _map(self) -> mmap.mmap:
        if self._mapped is None:
            self._mapped = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_COPY)
        return self._mapped

    def _read(self, entry: TensorEntry, stored: torch.dtype, target: Tensor) -> None:
        """Fill the flat `target`, of any dtype and device, with the values of `entry`."""
        buffer = self._piece_buffer(target.device)
        piece, raw = buffer.view(stored), buffer.numpy().data
        for start in range(0, entry.size_bytes, len(raw)):
            size = min(len(raw), entry.size_bytes - start)
            self._read_bytes(entry.begin + start, raw[:size])
            first, count = start // stored.itemsize, size // stored.itemsize
            target[first : first + count].copy_(piece[:count].to(target.device))

    def _piece_buffer(self, device: torch.device) -> Tensor:
        """The bytes through which pieces go to `device`."""
        import torch

        is_gpu = device.type == "cuda"
        size = _GPU_PIECE_BYTES if is_gpu else _CPU_PIECE_BYTES
        if self._buffer is None or len(self._buffer) < size:
            self._buffer = torch.empty(size, dtype=torch.uint8, pin_memory=is_gpu)
        return self._buffer[:size]

    def _read_bytes(self, at: int, rest: memoryview) -> None:
        """Fill `rest` with the bytes of the file from `at` on."""
        while rest:
            count = os.preadv(self._file.fileno(), [rest], at)
            if count == 0:
                raise ModelCorrupt(f"{self.path} ended at byte {at} while it was read")
            rest, at = rest[count:], at + count


def _count(entry: TensorEntry, stored: torch.dtype) -> int:
    return entry.size_bytes // stored.itemsize
