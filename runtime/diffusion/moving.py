"""Copies of a network on another device, their weights in one piece of memory."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from runtime.models.host_memory import bytes_on, will_go_to_gpu

Module = TypeVar("Module", bound=nn.Module)

_ALIGNMENT_BYTES = 512


def moved(module: Module, device: torch.device, *, dtype: torch.dtype | None = None) -> Module:
    """A copy of `module` on `device`, its weights in `dtype` (None: as they are); the original stays as it is.

    To and from a GPU the copies run without waiting for one another, beside what the GPU computes, at the bus's speed
    where the CPU's side is locked for it; on return all are done. On the way up the GPU makes another dtype.
    """
    weights = {id(weight): weight.detach() for weight in module.parameters()}
    total = sum(_size(weight, dtype) for weight in weights.values())
    memory = bytes_on(device, total, locked=device.type == "cpu" and will_go_to_gpu())
    memo: dict[int, object] = {}
    start = 0
    with _beside_the_work([device, *(weight.device for weight in weights.values())]):
        for key, weight in weights.items():
            wanted = dtype or weight.dtype
            place = memory[start : start + weight.numel() * wanted.itemsize].view(wanted).view(weight.shape)
            _copy(weight, place, device)
            memo[key] = nn.Parameter(place, requires_grad=False)
            start += _size(weight, dtype)
        copied: Module = copy.deepcopy(module, memo)  # while a GPU's copies run
    return copied


def _size(weight: Tensor, dtype: torch.dtype | None) -> int:
    size = weight.numel() * (dtype or weight.dtype).itemsize
    return size + -size % _ALIGNMENT_BYTES


def _copy(weight: Tensor, place: Tensor, device: torch.device) -> None:
    if weight.dtype == place.dtype:
        place.copy_(weight, non_blocking=True)
    else:
        place.copy_(weight.to(device, non_blocking=True))


@contextmanager
def _beside_the_work(devices: Iterable[torch.device]) -> Iterator[None]:
    """A stream of its own on the one of `devices` that is a GPU, begun when that is done with what the memory was."""
    gpu = next((device for device in devices if device.type == "cuda"), None)
    if gpu is None:
        yield
        return
    cuda: Any = torch.cuda  # whose streams have no types
    stream = cuda.Stream(gpu)
    stream.wait_stream(cuda.current_stream(gpu))
    try:
        with cuda.stream(stream):
            yield
    finally:
        stream.synchronize()
