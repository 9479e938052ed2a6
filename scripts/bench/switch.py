"""Prints the seconds of a network's copy out of RAM, and those of a plain copy of as many bytes; `load.py` runs it.

Both copy into memory that the process has not touched yet, as a model that comes back does.
"""

from __future__ import annotations

import time

import torch
from torch import nn

from runtime.diffusion.layers import size_bytes
from runtime.diffusion.moving import moved
from runtime.models.host_memory import large_memory
from scripts.bench.load_one import touch_memory

_CPU = torch.device("cpu")
_WIDTHS = (320, 640, 1280)
_LAYERS = 900


def main() -> None:
    """Build layers of SD's widths, in one piece of memory as the tier in RAM has them, copy them, print."""
    network = moved(nn.Sequential(*(layer(index) for index in range(_LAYERS))), _CPU)
    size = size_bytes(network)
    source = torch.ones(size, dtype=torch.uint8)
    touch_memory(2 * size + (1 << 30))  # both get memory that the machine has handed out before
    begun = time.perf_counter()
    copy = moved(network, _CPU)
    at_copy = time.perf_counter() - begun
    begun = time.perf_counter()
    large_memory(size).copy_(source)
    print(at_copy, time.perf_counter() - begun)
    del copy


def layer(index: int) -> nn.Linear:
    """The `index`-th of a network whose layers have the widths of SD 1.x, float16, on the CPU."""
    width = _WIDTHS[index % 3]
    layer = nn.Linear(width, width, device="meta", dtype=torch.float16)
    layer.weight = nn.Parameter(torch.ones(width, width, dtype=torch.float16), requires_grad=False)
    layer.bias = nn.Parameter(torch.ones(width, dtype=torch.float16), requires_grad=False)
    return layer


if __name__ == "__main__":
    main()
