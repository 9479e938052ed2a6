"""What random graphs (scripts/parity/random_check.py) found to differ, each as small as it still differed."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.parity.case_file import Case
from scripts.parity.graph import Graph, encoded, to_latent

SIZES = {"width": 512, "height": 384, "crop_w": 8, "crop_h": 0, "target_width": 0, "target_height": 0}


def cases() -> Iterator[Case]:
    """Each with what it is about."""
    yield _target_of_nought()
    yield _refiner_reads_a_pair_of_texts()
    yield from _crops_of_small_latents()


def _target_of_nought() -> Case:
    """A target size of 0 is told to SDXL as 0, not as the size that it stands beside."""
    graph = encoded("sdxl_mini")
    graph.add("pos", "CLIPTextEncodeSDXL", clip=("ckpt", 1), text_g="a lighthouse", text_l="at dusk", **SIZES)
    return to_latent(graph, steps=3).case("sdxl_target_of_nought", {"latent": ("ks", 0)})


def _refiner_reads_a_pair_of_texts() -> Case:
    """The refiner takes the node that the base has, and fills the text for CLIP-G up to the length of the other."""
    long = ", ".join(f"tower {index}" for index in range(30))
    graph = encoded("sdxl_refiner_mini")
    graph.add("pos", "CLIPTextEncodeSDXL", clip=("ckpt", 1), text_g="a lighthouse", text_l=long, **SIZES)
    kept = {"cond": ("pos", 0), "pooled": ("pos", 0), "latent": ("ks", 0)}
    return to_latent(graph, steps=3).case("sdxl_refiner_pair_of_texts", kept)


def _crops_of_small_latents() -> Iterator[Case]:
    """Where a latent is smaller than 64 pixels, the corner of a crop counts from the far edge."""
    for name, width, height in (("low", 96, 48), ("narrow", 40, 64), ("tiny", 16, 16)):
        size = {"width": width, "height": height, "upscale_method": "bilinear", "crop": "disabled"}
        graph = Graph().add("large", "LoadLatent", latent="saved.latent")
        graph.add("lat", "LatentUpscale", samples=("large", 0), **size)
        graph.add("out", "LatentCrop", samples=("lat", 0), width=64, height=64, x=16, y=24)
        graph.add("save", "SaveLatent", samples=("out", 0), filename_prefix="parity")
        yield graph.case(f"latent_crop_{name}", {"latent": ("out", 0)})
