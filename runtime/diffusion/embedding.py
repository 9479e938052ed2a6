"""Numbers as sinusoids, the way in which a UNet reads a timestep or a picture's size."""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor


def sinusoids(values: Tensor, channels: int) -> Tensor:
    """(B,) -> (B, channels) float32: cosines then sines, at wavelengths from 2 pi to 10000 * 2 pi.

    Attention is all you need (Vaswani et al. 2017, arXiv:1706.03762), section 3.5.
    """
    angles = values[:, None].float() * _frequencies(channels // 2, values.device)
    return torch.cat((angles.cos(), angles.sin()), dim=-1)


@lru_cache(maxsize=16)
def _frequencies(count: int, device: torch.device) -> Tensor:
    return torch.exp(-math.log(10000) * torch.arange(count, dtype=torch.float32, device=device) / count)
