"""Many tensors of a safetensors file at once, by large parallel reads into the memory where they stay."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from runtime.models.dtypes import stored_dtype, wanted_dtype
from runtime.models.host_memory import bytes_on, large_memory, will_go_to_gpu
from runtime.models.page_cache import is_cached
from runtime.models.parallel_read import ParallelFile
from runtime.models.safetensors_header import TensorEntry
from runtime.models.spans import Span, spans
from runtime.models.staging import CpuTransfer, CudaTransfer, Target, fill

if TYPE_CHECKING:
    import torch
    from torch import Tensor

# Below this one read after the other is as fast as threads.
_MIN_BYTES = 1024 * 1024

# A file of more beginnings than this is no checkpoint of networks, but one network whose layers stand at the top.
_MOST_PARTS = 8

# The memory of each tensor begins at a multiple of this, as torch's allocator does it on a GPU: kernels count on it.
_ALIGNMENT_BYTES = 512


def read_large(
    path: Path,
    file: int,
    entries: Mapping[str, TensorEntry],
    *,
    status: os.stat_result,
    device: torch.device,
    dtype: torch.dtype | None,
    may_map: bool,
) -> dict[str, Tensor]:
    """Those of `entries` for which this is the fastest way; for the rest the file is mapped, or read piece by piece.

    `file` is the descriptor of `path`, and `status` how it was when its header was checked. None come back where they
    are few, or where the page cache has them for the CPU and they `may_map` it. Raises ModelCorrupt.
    """
    regular = {name: entry for name, entry in entries.items() if _is_regular(entry)}
    if sum(entry.size_bytes for entry in regular.values()) < _MIN_BYTES:
        return {}
    is_warm = is_cached(file, *_bounds(regular))
    if is_warm and device.type == "cpu" and may_map:
        return {}
    kept = {name: entry for name, entry in regular.items() if _stays(entry, device, dtype)}
    changed = {name: entry for name, entry in regular.items() if name not in kept}
    with ParallelFile(path, file, direct=not is_warm, status=status) as parallel:
        return {**_in_place(parallel, kept), **_through_ring(parallel, changed, device, dtype)}


def _is_regular(entry: TensorEntry) -> bool:
    """Whether a tensor has values, none of which lies across the border of two pages."""
    return entry.size_bytes > 0 and entry.begin % stored_dtype(entry.dtype).itemsize == 0


def _bounds(entries: Mapping[str, TensorEntry]) -> tuple[int, int]:
    return min(entry.begin for entry in entries.values()), max(entry.end for entry in entries.values())


def _stays(entry: TensorEntry, device: torch.device, dtype: torch.dtype | None) -> bool:
    """Whether the bytes of the file are the tensor's as they are."""
    stored = stored_dtype(entry.dtype)
    return device.type == "cpu" and wanted_dtype(stored, dtype) == stored


def _in_place(file: ParallelFile, entries: Mapping[str, TensorEntry]) -> dict[str, Tensor]:
    """Tensors that are views of the memory that the file was read into, so that nothing is copied."""
    tensors: dict[str, Tensor] = {}
    chunks = []
    for part in _parts(entries):
        found = spans(part.items())
        memory, start = large_memory(sum(span.size_bytes for span in found), locked=will_go_to_gpu()), 0
        for span in found:
            own = memory[start : start + span.size_bytes]
            raw = own.numpy().data
            chunks += [(begin, raw[begin - span.begin : end - span.begin]) for begin, end in span.chunks()]
            tensors |= _views(own, span)
            start += span.size_bytes
    if chunks:
        file.read_all(chunks)
    return tensors


def _parts(entries: Mapping[str, TensorEntry]) -> Iterable[Mapping[str, TensorEntry]]:
    """The networks of a checkpoint, by how names begin: each gets memory of its own, and can be let go on its own."""
    parts: dict[str, dict[str, TensorEntry]] = {}
    for name, entry in entries.items():
        parts.setdefault(name.partition(".")[0], {})[name] = entry
    return parts.values() if len(parts) <= _MOST_PARTS else [entries]


def _views(memory: Tensor, span: Span) -> dict[str, Tensor]:
    return {
        name: memory[entry.begin - span.begin : entry.end - span.begin]
        .view(stored_dtype(entry.dtype))
        .view(entry.shape)
        for name, entry in span.entries
    }


def _through_ring(
    file: ParallelFile, entries: Mapping[str, TensorEntry], device: torch.device, dtype: torch.dtype | None
) -> dict[str, Tensor]:
    """Tensors of another device or dtype than the file's."""
    if not entries:
        return {}
    targets = _targets(entries, device, dtype)
    transfer = CudaTransfer(device) if device.type == "cuda" else CpuTransfer()
    fill(file, spans(entries.items()), targets, transfer)
    return {name: targets[name].flat.view(entry.shape) for name, entry in entries.items()}


def _targets(entries: Mapping[str, TensorEntry], device: torch.device, dtype: torch.dtype | None) -> dict[str, Target]:
    """Memory for every tensor, one after the other in one piece."""
    places, size = {}, 0
    for name, entry in entries.items():
        stored = stored_dtype(entry.dtype)
        wanted = wanted_dtype(stored, dtype)
        places[name] = (stored, wanted, size, size + math.prod(entry.shape) * wanted.itemsize)
        size = places[name][-1] + -places[name][-1] % _ALIGNMENT_BYTES
    memory = bytes_on(device, size, locked=device.type == "cpu" and will_go_to_gpu())
    return {
        name: Target(flat=memory[begin:end].view(wanted), stored=stored)
        for name, (stored, wanted, begin, end) in places.items()
    }
