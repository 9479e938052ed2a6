"""Nodes that take pictures to latents and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from runtime.nodes.inputs import Declared, InputTypes, Latent, integer, present

if TYPE_CHECKING:
    from torch import Tensor

    from runtime.diffusion.vae import Autoencoder

_FRAMES = {"temporal_size": integer(64, 8, 4096, 4), "temporal_overlap": integer(8, 4, 4096, 4)}  # for video alone


class VAEDecode:
    """Latents as pictures."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "decode"
    CATEGORY = "latent"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"samples": ("LATENT",), "vae": ("VAE",)}}

    def decode(self, samples: Latent, vae: Autoencoder | None) -> tuple[Tensor]:
        return (autoencoder(vae, "VAEDecode").decode(samples["samples"]),)


class VAEDecodeTiled:
    """Latents as pictures in tiles of `tile_size` pixels, for pictures that do not fit into memory whole."""

    RETURN_TYPES = ("IMAGE",)
    FUNCTION = "decode"
    CATEGORY = "_for_testing"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"samples": ("LATENT",), "vae": ("VAE",), **_tiles(step=32)}}

    def decode(
        self, samples: Latent, vae: Autoencoder | None, tile_size: int, overlap: int = 64, **frames: int
    ) -> tuple[Tensor]:
        network = autoencoder(vae, "VAEDecodeTiled")
        return (network.decode_tiled(samples["samples"], tile_size=tile_size, overlap=overlap),)


class VAEEncode:
    """Pictures as latents."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "encode"
    CATEGORY = "latent"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"pixels": ("IMAGE",), "vae": ("VAE",)}}

    def encode(self, pixels: Tensor, vae: Autoencoder | None) -> tuple[Latent]:
        return ({"samples": autoencoder(vae, "VAEEncode").encode(pixels)},)


class VAEEncodeTiled:
    """Pictures as latents in tiles of `tile_size` pixels, for pictures that do not fit into memory whole."""

    RETURN_TYPES = ("LATENT",)
    FUNCTION = "encode"
    CATEGORY = "_for_testing"

    @classmethod
    def INPUT_TYPES(cls) -> InputTypes:
        return {"required": {"pixels": ("IMAGE",), "vae": ("VAE",), **_tiles(step=64)}}

    def encode(
        self, pixels: Tensor, vae: Autoencoder | None, tile_size: int, overlap: int, **frames: int
    ) -> tuple[Latent]:
        network = autoencoder(vae, "VAEEncodeTiled")
        return ({"samples": network.encode_tiled(pixels, tile_size=tile_size, overlap=overlap)},)


def autoencoder(vae: Autoencoder | None, node: str) -> Autoencoder:
    """`vae`. Raises NodeFailed that names the `node` where the checkpoint had none."""
    network: Autoencoder = present(vae, node, "VAE")
    return network


def _tiles(*, step: int) -> dict[str, Declared]:
    sizes: dict[str, Any] = {"tile_size": integer(512, 64, 4096, step), "overlap": integer(64, 0, 4096, 32)}
    return {**sizes, **_FRAMES}


NODE_CLASS_MAPPINGS: dict[str, type] = {
    "VAEDecode": VAEDecode,
    "VAEDecodeTiled": VAEDecodeTiled,
    "VAEEncode": VAEEncode,
    "VAEEncodeTiled": VAEEncodeTiled,
}
NODE_DISPLAY_NAME_MAPPINGS = {
    "VAEDecode": "VAE Decode",
    "VAEDecodeTiled": "VAE Decode (Tiled)",
    "VAEEncode": "VAE Encode",
    "VAEEncodeTiled": "VAE Encode (Tiled)",
}
