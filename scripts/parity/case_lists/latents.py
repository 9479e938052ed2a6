"""The latent nodes: sizes, methods, crops, batches and their indices, and latents on their way to a file."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.parity.case_file import Case, Link
from scripts.parity.graph import Graph, decode, encoded, show, to_latent

METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "bislerp")
OUT: dict[str, Link] = {"latent": ("out", 0)}


def cases() -> Iterator[Case]:
    """The latent nodes, one case for each option."""
    yield from _upscaled()
    yield from _composited()
    yield from _batches()
    yield from _tiled()
    graph = Graph().add("out", "EmptyLatentImage", width=72, height=40, batch_size=3)
    yield _saved(graph).case("latent_empty", OUT)


def _from_file() -> Graph:
    """`lat`, two latents of 6 x 8 from a file."""
    return Graph().add("lat", "LoadLatent", latent="saved.latent")


def _saved(graph: Graph) -> Graph:
    return graph.add("save", "SaveLatent", samples=("out", 0), filename_prefix="latents/parity")


def _changed(name: str, class_type: str, **inputs: Any) -> Case:
    graph = _from_file().add("out", class_type, samples=("lat", 0), **inputs)
    return _saved(graph).case(f"latent_{name}", OUT)


def _upscaled() -> Iterator[Case]:
    for method in METHODS:
        for crop in ("disabled", "center"):
            size = {"width": 104, "height": 136, "crop": crop}
            yield _changed(f"upscale_{method}_{crop}", "LatentUpscale", upscale_method=method, **size)
        for scale in (1.6, 0.5):
            name = f"upscale_by_{method}_{'up' if scale > 1 else 'down'}"
            yield _changed(name, "LatentUpscaleBy", upscale_method=method, scale_by=scale)
    for name, width, height in (("width_0", 0, 96), ("height_0", 128, 0), ("both_0", 0, 0), ("too_small", 8, 32)):
        size = {"width": width, "height": height, "crop": "disabled"}
        yield _changed(f"upscale_{name}", "LatentUpscale", upscale_method="bilinear", **size)


def _composited() -> Iterator[Case]:
    for name, x, y, feather in (
        ("plain", 16, 8, 0),
        ("feathered", 32, 16, 16),
        ("at_the_corner", 0, 0, 24),
        ("over_the_edge", 48, 32, 8),
    ):
        graph = _from_file().add("small", "LatentUpscaleBy", samples=("lat", 0), upscale_method="area", scale_by=0.7)
        latents = {"samples_to": ("lat", 0), "samples_from": ("small", 0)}
        graph.add("out", "LatentComposite", **latents, x=x, y=y, feather=feather)
        yield _saved(graph).case(f"latent_composite_{name}", OUT)


def _batches() -> Iterator[Case]:
    indexed: dict[str, Link] = {**OUT, "batch_index": ("out", 0)}
    for name, first, length in (("second", 1, 1), ("both", 0, 64), ("beyond", 9, 4)):
        graph = _from_file().add("out", "LatentFromBatch", samples=("lat", 0), batch_index=first, length=length)
        yield _saved(graph).case(f"latent_from_batch_{name}", indexed)
    yield _changed("repeat", "RepeatLatentBatch", amount=3)
    graph = _from_file().add("one", "LatentFromBatch", samples=("lat", 0), batch_index=1, length=1)
    graph.add("out", "RepeatLatentBatch", samples=("one", 0), amount=3)
    yield _saved(graph).case("latent_repeat_of_one", indexed)
    graph = to_latent(encoded(), batch=3, seed=71, steps=3)
    graph.add("lat3", "LatentFromBatch", samples=("lat", 0), batch_index=2, length=1).set(
        "ks", latent_image=("lat3", 0)
    )
    yield graph.case("latent_noise_of_the_third", {"latent": ("ks", 0)})
    graph = to_latent(encoded(), batch=3, seed=71, steps=2)
    graph.add("part", "LatentFromBatch", samples=("lat", 0), batch_index=1, length=2)
    graph.add("more", "RepeatLatentBatch", samples=("part", 0), amount=2).set("ks", latent_image=("more", 0))
    yield graph.case("latent_noise_of_a_repeated_part", {"latent": ("ks", 0), "batch_index": ("more", 0)})
    yield _masks_in_batches()


def _masks_in_batches() -> Case:
    """Noise masks through LatentFromBatch and RepeatLatentBatch, where there is one to a latent and where not."""
    graph = Graph().add("gif", "LoadImage", image="animated.gif").add("lat", "LoadLatent", latent="saved.latent")
    graph.add("m", "ImageToMask", image=("gif", 0), channel="red")
    graph.add("four", "RepeatLatentBatch", samples=("lat", 0), amount=2)
    graph.add("masked", "SetLatentNoiseMask", samples=("four", 0), mask=("m", 0))
    graph.add("part", "LatentFromBatch", samples=("masked", 0), batch_index=1, length=3)
    graph.add("out", "RepeatLatentBatch", samples=("masked", 0), amount=2)
    capture: dict[str, Link] = {"noise_mask.part": ("part", 0), "noise_mask.out": ("out", 0)}
    return (
        _saved(graph)
        .add("save2", "SaveLatent", samples=("part", 0), filename_prefix="parity")
        .case("latent_masks_in_batches", capture)
    )


def _tiled() -> Iterator[Case]:
    for name, size, tile_size, overlap in (
        ("one_tile", (64, 64), 512, 64),
        ("tiles", (104, 72), 64, 32),
        ("without_overlap", (128, 64), 64, 0),
        ("overlap_too_wide", (72, 104), 64, 64),
    ):
        graph = encoded().add("lat", "LoadLatent", latent="saved.latent")
        scale = {"upscale_method": "bicubic", "width": size[0], "height": size[1], "crop": "disabled"}
        graph.add("one", "LatentFromBatch", samples=("lat", 0), batch_index=0, length=1)
        graph.add("up", "LatentUpscale", samples=("one", 0), **scale)
        tiling = {"tile_size": tile_size, "overlap": overlap, "temporal_size": 64, "temporal_overlap": 8}
        graph.add("dec", "VAEDecodeTiled", samples=("up", 0), vae=("ckpt", 2), **tiling)
        yield show(graph, ("dec", 0)).case(f"vae_decode_tiled_{name}", {"image": ("dec", 0)})
    for name, tile_size, overlap in (("one_tile", 512, 64), ("tiles", 128, 32), ("without_overlap", 64, 0)):
        graph = _large_picture()
        tiling = {"tile_size": tile_size, "overlap": overlap, "temporal_size": 64, "temporal_overlap": 8}
        graph.add("out", "VAEEncodeTiled", pixels=("up", 0), vae=("ckpt", 2), **tiling)
        yield _saved(graph).case(f"vae_encode_tiled_{name}", {"encoded": ("out", 0)})
    for image in ("odd.png", "animated.gif"):
        graph = encoded().add("img", "LoadImage", image=image)
        graph.add("out", "VAEEncode", pixels=("img", 0), vae=("ckpt", 2))
        graph = show(decode(graph, ("out", 0)), ("dec", 0))
        yield graph.case(f"vae_encode_{image.split('.')[0]}", {"encoded": ("out", 0), "image": ("dec", 0)})


def _large_picture() -> Graph:
    """A picture `up` of 104 x 136 pixels."""
    graph = encoded().add("img", "LoadImage", image="odd.png")
    scale = {"upscale_method": "bicubic", "width": 104, "height": 136, "crop": "disabled"}
    return graph.add("up", "ImageScale", image=("img", 0), **scale)
