"""An upscale model as nodes use it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

from runtime.diffusion.layers import size_bytes
from runtime.diffusion.moving import moved
from runtime.diffusion.shape_tree import Shapes
from runtime.diffusion.tiling import map_tiles, tile_count
from runtime.models.tensor_file import naming, open_tensors
from runtime.upscaling.layout import read_layout
from runtime.upscaling.networks import build_network

_log = logging.getLogger(__name__)

_TILE = 512  # pixels a side
_SMALLEST_TILE = 128
_OVERLAP = 32


class Upscaler:
    """Makes pictures `scale` times as large on each side. The network runs on `device`, in float32."""

    def __init__(self, network: nn.Module, *, scale: int, device: torch.device) -> None:
        self._network = network
        self.scale = scale
        self.device = device
        self.size_bytes = size_bytes(network)

    def on(self, device: torch.device) -> Upscaler:
        """A copy on `device`."""
        return Upscaler(moved(self._network, device), scale=self.scale, device=device)

    def upscale(self, pixels: Tensor, *, on_tile: Callable[[int, int], None] = lambda done, total: None) -> Tensor:
        """Pictures (B, H, W, 3) in 0..1 as (B, scale * H, scale * W, 3) in 0..1, float32 on the CPU.

        They are made in tiles of 512 pixels a side that overlap by 32, in smaller ones where memory does not suffice;
        `on_tile(done, total)` is called after each, and may raise. Raises torch.OutOfMemoryError below 128 pixels.
        """
        pictures = pixels.movedim(-1, 1)
        tile = _TILE
        while True:
            try:
                return self._in_tiles(pictures, tile, on_tile).clamp_(0.0, 1.0).movedim(1, -1)
            except torch.OutOfMemoryError:
                if tile // 2 < _SMALLEST_TILE:
                    raise
            tile //= 2
            _log.warning("out of memory in an upscale model: going on in tiles of %d pixels", tile)

    def _in_tiles(self, pictures: Tensor, tile: int, on_tile: Callable[[int, int], None]) -> Tensor:
        total = len(pictures) * tile_count(pictures.shape[-2:], (tile, tile), _OVERLAP)
        done = 0

        def made(piece: Tensor) -> Tensor:
            nonlocal done
            result: Tensor = self._network(piece.to(self.device, torch.float32)).clamp_(0.0, 1.0)
            done += 1
            on_tile(done, total)
            return result

        return map_tiles(pictures, made, tile=(tile, tile), overlap=_OVERLAP, scale=self.scale, channels=3)


def load_upscaler(path: Path, *, device: torch.device, may_map: bool = True) -> Upscaler:
    """The upscale model in the file at `path`, on `device`.

    Raises ModelCorrupt or ModelUnsafe, naming the file and its fault.
    """
    with open_tensors(path, may_map=may_map) as file, naming(path):
        spec, names = read_layout(file.shapes)
        tensors = file.tensors(names.values(), device=device, dtype=torch.float32)
        return Upscaler(build_network(spec, tensors, names), scale=spec.scale, device=device)


def check_upscaler(shapes: Shapes) -> None:
    """Pass if a file whose tensors have these names and shapes is one that runs here; else raises ModelCorrupt."""
    read_layout(shapes)
