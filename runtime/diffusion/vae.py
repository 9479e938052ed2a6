"""The autoencoder as nodes use it: pictures in and out, whole where memory allows and in tiles where not."""

from __future__ import annotations

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from runtime.diffusion.kl import KL
from runtime.diffusion.layers import size_bytes
from runtime.diffusion.moving import moved
from runtime.diffusion.tiling import map_tiles

_log = logging.getLogger(__name__)

# Pictures go through together up to this many pixels: what lies between the layers takes some 2 kB for each.
_PIXELS_AT_ONCE = 512 * 512


class Autoencoder:
    """Pictures (B, H, W, 3) in 0..1 to latents (B, C, H/8, W/8) and back, as float32 on the CPU.

    A latent here is the mean of its distribution, not yet brought to the scale of the UNet. Sizes that are no multiple
    of 8 are cropped at all sides evenly. The network runs on `device` in `dtype`.
    """

    def __init__(self, network: KL, *, device: torch.device, dtype: torch.dtype) -> None:
        self._network = network
        self.device = device
        self.dtype = dtype
        self.latent_channels = network.spec.latent_channels
        self.downscale = network.spec.downscale
        self.size_bytes = size_bytes(network)

    def on(self, device: torch.device, *, dtype: torch.dtype | None = None) -> Autoencoder:
        """A copy on `device`, in `dtype` (None: as it is)."""
        dtype = dtype or self.dtype
        return Autoencoder(moved(self._network, device, dtype=dtype), device=device, dtype=dtype)

    def encode(self, pixels: Tensor) -> Tensor:
        """The latents of `pixels`; a fourth channel is ignored."""
        pictures = self._pictures(pixels)
        at_once = max(1, _PIXELS_AT_ONCE // (pictures.shape[-2] * pictures.shape[-1]))
        latents = self._unless_out_of_memory(self._encode, pictures, at_once)
        return self._encode_tiles(pictures, tile=(512, 512), overlap=64) if latents is None else latents

    def decode(self, latent: Tensor) -> Tensor:
        """The pictures of `latent`, clamped to 0..1."""
        pixels_each = latent.shape[-2] * latent.shape[-1] * self.downscale**2
        pictures = self._unless_out_of_memory(self._decode, latent, max(1, _PIXELS_AT_ONCE // pixels_each))
        if pictures is None:
            pictures = self._decode_tiles(latent, tile=(64, 64), overlap=16)
        return _pixels(pictures)

    def encode_tiled(self, pixels: Tensor, *, tile_size: int = 512, overlap: int = 64) -> Tensor:
        """As `encode`, in tiles of `tile_size` pixels that overlap by `overlap` pixels."""
        return self._encode_tiles(self._pictures(pixels), tile=(tile_size, tile_size), overlap=overlap)

    def decode_tiled(self, latent: Tensor, *, tile_size: int = 512, overlap: int = 64) -> Tensor:
        """As `decode`, in tiles of `tile_size` pixels that overlap by `overlap` pixels, at most a quarter of a tile."""
        tile, overlap = tile_size // self.downscale, min(overlap, tile_size // 4) // self.downscale
        return _pixels(self._decode_tiles(latent, tile=(tile, tile), overlap=overlap))

    def _pictures(self, pixels: Tensor) -> Tensor:
        """From (B, H, W, 3 or 4) to (B, 3, H, W) with sizes that the network halves evenly."""
        pictures = pixels[..., :3].movedim(-1, 1)
        for axis in (2, 3):
            size, spare = pictures.shape[axis], pictures.shape[axis] % self.downscale
            pictures = pictures.narrow(axis, spare // 2, size - spare)
        return pictures

    def _encode(self, pictures: Tensor) -> Tensor:
        return self._network.encode((pictures * 2.0 - 1.0).to(self.device, self.dtype)).float().cpu()

    def _decode(self, latent: Tensor) -> Tensor:
        return self._network.decode(latent.to(self.device, self.dtype)).float().cpu()

    def _unless_out_of_memory(
        self, function: Callable[[Tensor], Tensor], samples: Tensor, at_once: int
    ) -> Tensor | None:
        """`function` of `samples`, so many at once; None where memory does not suffice for one."""
        try:
            return torch.cat([function(part) for part in torch.split(samples, at_once)])
        except torch.OutOfMemoryError:
            _log.warning("out of memory in the VAE at %s: going on in tiles", list(samples.shape))
            return None

    def _encode_tiles(self, pictures: Tensor, *, tile: tuple[int, int], overlap: int) -> Tensor:
        scale, channels = 1 / self.downscale, self.latent_channels
        return _mean_over_shapes(
            lambda shape: map_tiles(
                pictures, self._encode, tile=shape, overlap=overlap, scale=scale, channels=channels
            ),
            tile,
        )

    def _decode_tiles(self, latent: Tensor, *, tile: tuple[int, int], overlap: int) -> Tensor:
        return _mean_over_shapes(
            lambda shape: map_tiles(
                latent, self._decode, tile=shape, overlap=overlap, scale=self.downscale, channels=3
            ),
            tile,
        )


def _mean_over_shapes(tiled: Callable[[tuple[int, int]], Tensor], tile: tuple[int, int]) -> Tensor:
    """The mean of `tiled` over square, wide and tall tiles of one area, so that their borders fall apart."""
    height, width = tile
    shapes = ((height * 2, width // 2), (height // 2, width * 2), (height, width))
    total = tiled(shapes[0])
    for shape in shapes[1:]:
        total += tiled(shape)
    return total / 3.0


def _pixels(pictures: Tensor) -> Tensor:
    """From (B, 3, H, W) in -1..1 to (B, H, W, 3) in 0..1."""
    return ((pictures + 1.0) / 2.0).clamp(0.0, 1.0).movedim(1, -1)
