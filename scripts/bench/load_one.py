"""One loader reads one safetensors file in a process of its own; `load.py` runs it.

    python -m scripts.bench.load_one LOADER FILE [--direct]

Prints seconds, from the call of the loader until every page of every tensor has been touched, bytes, and the most
memory that the process took beyond its libraries and the tensors themselves.
"""

from __future__ import annotations

import argparse
import mmap
import os
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import torch

_CHUNK_BYTES = 4 * 1024 * 1024
_THREADS = 16
_CPU = torch.device("cpu")


def main() -> None:
    """Import, load, touch, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("loader", choices=[*_LOADERS, "raw", "copy"])
    parser.add_argument("file", type=Path)
    parser.add_argument("--direct", action="store_true", help="raw: past the page cache")
    arguments = parser.parse_args()
    size = arguments.file.stat().st_size
    if arguments.loader == "raw":
        print(_raw(arguments.file, direct=arguments.direct), size, 0)
        return
    if arguments.loader == "copy":
        print(_copy(size), size, 0)
        return
    load = _LOADERS[arguments.loader]()
    touch_memory(size + (1 << 30))
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak counts from here
    before = _status("VmRSS")
    begun = time.perf_counter()
    tensors, owner = load(arguments.file)
    for tensor in tensors.values():
        tensor.reshape(-1).view(torch.uint8)[::4096].sum()
    seconds = time.perf_counter() - begun
    print(seconds, size, max(0, _status("VmHWM") - before - size))
    del tensors, owner


def touch_memory(size_bytes: int) -> None:
    """Use so much memory and give it back.

    The host of a virtual machine hands memory out when it is first touched, often slower than a disk reads: all that
    would be measured is which loader came first.
    """
    memory = mmap.mmap(-1, size_bytes, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    memory.madvise(mmap.MADV_HUGEPAGE)
    torch.frombuffer(memory, dtype=torch.uint8)[::4096].fill_(1)


def _ours() -> Callable[[Path], tuple[Mapping[str, Any], Any]]:
    from runtime.models.reader import read_tensors

    return lambda path: (read_tensors(path, device=_CPU).tensors, None)


def _load_file() -> Callable[[Path], tuple[Mapping[str, Any], Any]]:
    from safetensors.torch import load_file

    return lambda path: (load_file(path), None)


def _runai() -> Callable[[Path], tuple[Mapping[str, Any], Any]]:
    os.environ.setdefault("RUNAI_STREAMER_MEMORY_LIMIT", "-1")  # so that it need not reuse what it has handed out
    from runai_model_streamer import SafetensorsStreamer

    def load(path: Path) -> tuple[Mapping[str, Any], Any]:
        streamer = SafetensorsStreamer().__enter__()
        streamer.stream_file(str(path))
        return dict(streamer.get_tensors()), streamer

    return load


def _fastsafetensors() -> Callable[[Path], tuple[Mapping[str, Any], Any]]:
    from fastsafetensors import SafeTensorsFileLoader, SingleGroup

    def load(path: Path) -> tuple[Mapping[str, Any], Any]:
        loader = SafeTensorsFileLoader(SingleGroup(), device="cpu", nogds=True)
        loader.add_filenames({0: [str(path)]})
        buffer = loader.copy_files_to_device()
        return {name: buffer.get_tensor(name) for name in loader.get_keys()}, (loader, buffer)

    return load


_LOADERS = {
    "ours": _ours,
    "safetensors": _load_file,
    "runai-model-streamer": _runai,
    "fastsafetensors": _fastsafetensors,
}


def _raw(path: Path, *, direct: bool) -> float:
    """The seconds of parallel reads of the whole file into a ring of buffers in large pages, touched before."""
    ring = mmap.mmap(-1, (_THREADS + 1) * _CHUNK_BYTES, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    ring.madvise(mmap.MADV_HUGEPAGE)
    start = -torch.frombuffer(ring, dtype=torch.uint8).data_ptr() % _CHUNK_BYTES
    whole = memoryview(ring)[start : start + _THREADS * _CHUNK_BYTES]
    whole[:] = bytes(len(whole))
    free: SimpleQueue[memoryview] = SimpleQueue()
    for begin in range(0, len(whole), _CHUNK_BYTES):
        free.put(whole[begin : begin + _CHUNK_BYTES])
    file = os.open(path, os.O_RDONLY | (os.O_DIRECT if direct else 0))

    def read(at: int) -> None:
        buffer = free.get()
        os.preadv(file, [buffer], at)
        free.put(buffer)

    begun = time.perf_counter()
    with ThreadPoolExecutor(_THREADS) as pool:
        list(pool.map(read, range(0, path.stat().st_size, _CHUNK_BYTES)))
    return time.perf_counter() - begun


def _copy(size: int) -> float:
    """The seconds of a plain copy of as many bytes in memory that was touched before, a gigabyte at a time."""
    source, target = (torch.ones(1 << 30, dtype=torch.uint8) for _ in range(2))
    begun = time.perf_counter()
    for at in range(0, size, 1 << 30):
        count = min(1 << 30, size - at)
        target[:count].copy_(source[:count])
    return time.perf_counter() - begun


def _status(name: str) -> int:
    """A figure of /proc/self/status in bytes."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


if __name__ == "__main__":
    main()
