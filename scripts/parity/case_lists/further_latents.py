"""Latent arithmetic, cuts and turns: the nodes beyond those that most workflows use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.parity.case_file import Case, Link
from scripts.parity.graph import Graph, encoded, to_latent

OUT: dict[str, Link] = {"latent": ("out", 0)}


def cases() -> Iterator[Case]:
    """One latent changed, then two latents joined, the second of another size."""
    yield from _one_latent()
    yield from _two_latents()
    yield from _interpolated()
    yield from _composited()
    yield from _seed_behaviour()


def _saved(graph: Graph) -> Graph:
    return graph.add("save", "SaveLatent", samples=("out", 0), filename_prefix="parity")


def _one_latent() -> Iterator[Case]:
    changes: dict[str, tuple[str, dict[str, Any]]] = {
        "multiply": ("LatentMultiply", {"multiplier": -1.7}),
        "flip_x": ("LatentFlip", {"flip_method": "x-axis: vertically"}),
        "flip_y": ("LatentFlip", {"flip_method": "y-axis: horizontally"}),
        "rotate_none": ("LatentRotate", {"rotation": "none"}),
        "rotate_90": ("LatentRotate", {"rotation": "90 degrees"}),
        "rotate_180": ("LatentRotate", {"rotation": "180 degrees"}),
        "rotate_270": ("LatentRotate", {"rotation": "270 degrees"}),
        "crop": ("LatentCrop", {"width": 64, "height": 64, "x": 16, "y": 8}),
        "crop_beyond": ("LatentCrop", {"width": 64, "height": 96, "x": 512, "y": 64}),
        "cut_x": ("LatentCut", {"dim": "x", "index": 2, "amount": 3}),
        "cut_y": ("LatentCut", {"dim": "y", "index": -4, "amount": 2}),
        "cut_t": ("LatentCut", {"dim": "t", "index": 40, "amount": 9}),
    }
    for name, (class_type, inputs) in changes.items():
        graph = _large().add("out", class_type, samples=("large", 0), **inputs)
        yield _saved(graph).case(f"latent_{name}", OUT)


def _large() -> Graph:
    """`large`, two latents of 9 x 12."""
    graph = Graph().add("lat", "LoadLatent", latent="saved.latent")
    return graph.add("large", "LatentUpscaleBy", samples=("lat", 0), upscale_method="bilinear", scale_by=1.5)


def _two_latents() -> Iterator[Case]:
    joins: dict[str, tuple[str, dict[str, Any]]] = {
        "add": ("LatentAdd", {}),
        "subtract": ("LatentSubtract", {}),
        "blend": ("LatentBlend", {"blend_factor": 0.3}),
        "batch": ("LatentBatch", {}),
    }
    for name, (class_type, inputs) in joins.items():
        for size, second in (("same", "large2"), ("smaller", "lat")):
            if (name, size) == ("blend", "smaller"):
                continue  # ComfyUI permutes the result of its resize away and fails to add the two
            graph = _pair().add("out", class_type, samples1=("large", 0), samples2=(second, 0), **inputs)
            capture = {**OUT, "batch_index": ("out", 0)} if name == "batch" else OUT
            yield _saved(graph).case(f"latent_{name}_{size}", capture)
    for dim in ("x", "-x", "y", "-y", "t", "-t"):
        graph = _pair().add("out", "LatentConcat", samples1=("large", 0), samples2=("large2", 0), dim=dim)
        yield _saved(graph).case(f"latent_concat_{dim.replace('-', 'minus_')}", OUT)


def _interpolated() -> Iterator[Case]:
    """Latents of one picture only: ComfyUI fails on more."""
    for size, second in (("same", "large2"), ("smaller", "lat")):
        graph = _pair()
        for node_id in ("large", second):
            graph.add(f"{node_id}_one", "LatentFromBatch", samples=(node_id, 0), batch_index=1, length=1)
        latents = {"samples1": ("large_one", 0), "samples2": (f"{second}_one", 0)}
        yield _saved(graph.add("out", "LatentInterpolate", **latents, ratio=0.3)).case(
            f"latent_interpolate_{size}", OUT
        )


def _pair() -> Graph:
    """`large` and, as `large2`, the same turned upside down."""
    return _large().add("large2", "LatentFlip", samples=("large", 0), flip_method="x-axis: vertically")


def _composited() -> Iterator[Case]:
    for name, x, y, resize, mask in (
        ("plain", 16, 24, False, None),
        ("resized", 0, 0, True, None),
        ("masked", 32, 16, False, ("m", 0)),
        ("over_the_edge", 72, 56, False, ("m", 0)),
    ):
        graph = _large().add("img", "LoadImage", image="animated.gif")
        graph.add("m", "ImageToMask", image=("img", 0), channel="red")
        latents: dict[str, Any] = {"destination": ("large", 0), "source": ("lat", 0)}
        graph.add("out", "LatentCompositeMasked", **latents, x=x, y=y, resize_source=resize)
        if mask:
            graph.set("out", mask=mask)
        yield _saved(graph).case(f"latent_composite_masked_{name}", OUT)


def _seed_behaviour() -> Iterator[Case]:
    for behaviour in ("random", "fixed"):
        graph = to_latent(encoded(), batch=2, seed=72, steps=2)
        graph.add("seeds", "LatentBatchSeedBehavior", samples=("lat", 0), seed_behavior=behaviour)
        graph.set("ks", latent_image=("seeds", 0))
        yield graph.case(f"latent_seed_behavior_{behaviour}", {"latent": ("ks", 0)})
