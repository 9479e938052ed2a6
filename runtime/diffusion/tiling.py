"""A function of pictures applied tile by tile, where the whole would not fit into memory."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator

import torch
from torch import Tensor


def map_tiles(
    samples: Tensor,
    function: Callable[[Tensor], Tensor],
    *,
    tile: tuple[int, int],
    overlap: int,
    scale: float,
    channels: int,
) -> Tensor:
    """`function` of `samples` (B, C, h, w), as float32 (B, `channels`, scale * h, scale * w) on the CPU.

    `function` maps (1, C, a, b) to (1, channels, scale * a, scale * b). It sees tiles of at most `tile` (height, width)
    that overlap by `overlap`, all in places of `samples`. Where tiles overlap, each is weighted by a ramp towards its
    border, and the sum is divided by the sum of the weights. Raises ValueError where the overlap leaves no step.
    """
    height, width = samples.shape[-2:]
    shape = (channels, round(scale * height), round(scale * width))
    output = torch.empty((len(samples), *shape))
    for index, sample in enumerate(torch.split(samples, 1)):
        if height <= tile[0] and width <= tile[1]:
            output[index] = function(sample)[0].float()
        else:
            output[index] = _blended(sample, function, tile=tile, overlap=overlap, scale=scale, shape=shape)
    return output


def tile_count(size: tuple[int, int] | torch.Size, tile: tuple[int, int], overlap: int) -> int:
    """How many tiles `map_tiles` makes of one sample of `size` (height, width)."""
    return math.prod(len(list(_spans(side, of, overlap))) for side, of in zip(size, tile, strict=True))


def _blended(
    sample: Tensor,
    function: Callable[[Tensor], Tensor],
    *,
    tile: tuple[int, int],
    overlap: int,
    scale: float,
    shape: tuple[int, int, int],
) -> Tensor:
    total, weights = torch.zeros(shape), torch.zeros((1, *shape[1:]))
    height, width = sample.shape[-2:]
    spans = itertools.product(_spans(height, tile[0], overlap), _spans(width, tile[1], overlap))
    for (top, rows), (left, columns) in spans:
        result = function(sample[:, :, top : top + rows, left : left + columns])[0].float().cpu()
        weight = _ramps(result.shape[-2], result.shape[-1], round(scale * overlap))
        at_row, at_column = round(scale * top), round(scale * left)
        place = (..., slice(at_row, at_row + weight.shape[0]), slice(at_column, at_column + weight.shape[1]))
        total[place] += result * weight
        weights[place] += weight
    return total / weights


def _spans(size: int, tile: int, overlap: int) -> Iterator[tuple[int, int]]:
    """(start, length) of the tiles along an axis of `size` places."""
    if size <= tile:
        yield 0, size
        return
    if overlap >= tile:
        raise ValueError(f"tiles of {tile} places cannot overlap by {overlap}: the overlap has to be smaller")
    for start in range(0, size - overlap, tile - overlap):
        yield start, min(tile, size - start)


def _ramps(height: int, width: int, feather: int) -> Tensor:
    """(height, width): 1 inside, rising from the four borders over `feather` places."""
    return _ramp(height, feather)[:, None] * _ramp(width, feather)


def _ramp(size: int, feather: int) -> Tensor:
    """(size,): 1/feather, 2/feather, ... 1, and the same from the end; all 1 where it would be all ramp."""
    if feather >= size or feather == 0:
        return torch.ones(size)
    rising = torch.arange(1, size + 1) / feather
    return rising.clamp(max=1) * rising.flip(0).clamp(max=1)
