"""The image nodes: each method, mode and crop, and pictures of differing sizes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.parity.case_file import Case, Link
from scripts.parity.graph import Graph, show

METHODS = ("nearest-exact", "bilinear", "area", "bicubic", "lanczos")
BLEND_MODES = ("normal", "multiply", "screen", "overlay", "soft_light", "difference")
DITHERS = ("none", "floyd-steinberg", "bayer-2", "bayer-4", "bayer-8", "bayer-16")


def cases() -> Iterator[Case]:
    """The image nodes, one case for each option."""
    yield from _scaled()
    yield from _filtered()
    yield from _blended()
    yield from _quantized()
    yield from _cut_and_joined()
    yield from _padded()


def _loaded(image: str = "odd.png") -> Graph:
    return Graph().add("img", "LoadImage", image=image)


def _node(name: str, class_type: str, image: str = "odd.png", **inputs: Any) -> Case:
    """A case with one node that takes the loaded picture as `image`."""
    graph = _loaded(image).add("out", class_type, image=("img", 0), **inputs)
    return show(graph, ("out", 0)).case(name, {"image": ("out", 0)})


def _scaled() -> Iterator[Case]:
    for method in METHODS:
        graph = _loaded("gradient.png")
        cropped = {"upscale_method": method, "width": 90, "height": 50, "crop": "center"}
        graph.add("s", "ImageScale", image=("img", 0), **cropped)
        yield show(graph, ("s", 0)).case(f"image_scale_{method}", {"image": ("s", 0)})
    size: dict[str, Any] = {"width": 24, "height": 40, "crop": "disabled"}
    for method in METHODS:
        yield _node(f"image_scale_{method}_down", "ImageScale", upscale_method=method, **size)
        yield _node(f"image_scale_by_{method}", "ImageScaleBy", upscale_method=method, scale_by=0.63)
    tall: dict[str, Any] = {"upscale_method": "bilinear", "width": 20, "height": 40, "crop": "center"}
    yield _node("image_scale_crop_to_tall", "ImageScale", **tall)
    for name, width, height in (("width_0", 0, 20), ("height_0", 70, 0), ("both_0", 0, 0)):
        size = {"width": width, "height": height, "crop": "disabled"}
        yield _node(f"image_scale_{name}", "ImageScale", upscale_method="bicubic", **size)
    yield _node("image_scale_by_up", "ImageScaleBy", upscale_method="lanczos", scale_by=1.37)
    yield _node("image_scale_batch", "ImageScale", "animated.gif", **{**tall, "upscale_method": "lanczos"})


def _filtered() -> Iterator[Case]:
    graph = _loaded("gradient.png").add("b", "ImageBlur", image=("img", 0), blur_radius=3, sigma=1.5)
    graph.add("s", "ImageSharpen", image=("b", 0), sharpen_radius=2, sigma=1.0, alpha=0.8)
    yield show(graph, ("s", 0)).case("image_blur_sharpen", {"image": ("s", 0)})
    yield _node("image_blur_wide", "ImageBlur", blur_radius=15, sigma=10.0)
    yield _node("image_blur_narrow", "ImageBlur", blur_radius=1, sigma=0.1)
    yield _node("image_sharpen_strong", "ImageSharpen", sharpen_radius=5, sigma=0.5, alpha=5.0)
    yield _node("image_sharpen_none", "ImageSharpen", "animated.gif", sharpen_radius=1, sigma=1.0, alpha=0.0)
    yield _node("image_invert", "ImageInvert")


def _blended() -> Iterator[Case]:
    graph = _loaded("gradient.png").add("i", "ImageInvert", image=("img", 0))
    overlay = {"image1": ("img", 0), "image2": ("i", 0), "blend_factor": 0.3, "blend_mode": "overlay"}
    yield show(graph.add("b", "ImageBlend", **overlay), ("b", 0)).case("image_blend_invert", {"image": ("b", 0)})
    for mode in BLEND_MODES:
        graph = _two_pictures()
        blend = {"image1": ("img", 0), "image2": ("other", 0), "blend_factor": 0.7, "blend_mode": mode}
        graph.add("out", "ImageBlend", **blend)
        yield show(graph, ("out", 0)).case(f"image_blend_{mode}", {"image": ("out", 0)})


def _two_pictures() -> Graph:
    return _loaded().add("other", "LoadImage", image="gradient_alpha.png")


def _quantized() -> Iterator[Case]:
    for dither in DITHERS:
        yield _node(f"image_quantize_{dither}", "ImageQuantize", colors=16, dither=dither)
    yield _node("image_quantize_batch", "ImageQuantize", "animated.gif", colors=2, dither="floyd-steinberg")
    yield _node("image_quantize_256", "ImageQuantize", colors=256, dither="none")


def _cut_and_joined() -> Iterator[Case]:
    for name, image1, image2 in (("larger", "odd.png", "gradient.png"), ("same", "animated.gif", "animated.gif")):
        graph = _loaded(image1).add("other", "LoadImage", image=image2)
        graph.add("out", "ImageBatch", image1=("img", 0), image2=("other", 0))
        yield show(graph, ("out", 0)).case(f"image_batch_{name}", {"image": ("out", 0)})
    yield _node("image_crop", "ImageCrop", width=17, height=9, x=5, y=11)
    yield _node("image_crop_beyond", "ImageCrop", width=400, height=9, x=30, y=2000)
    graph = Graph().add("out", "EmptyImage", width=20, height=11, batch_size=2, color=0xC08010)
    yield show(graph, ("out", 0)).case("image_empty", {"image": ("out", 0)})


def _padded() -> Iterator[Case]:
    sides = {"left": 8, "top": 16, "right": 0, "bottom": 24}
    for name, feathering, padding in (
        ("feathered", 10, sides),
        ("plain", 0, sides),
        ("too_feathered", 40, sides),
        ("nowhere", 10, dict.fromkeys(sides, 0)),
    ):
        graph = _loaded().add("out", "ImagePadForOutpaint", image=("img", 0), **padding, feathering=feathering)
        capture: dict[str, Link] = {"image": ("out", 0), "mask": ("out", 1)}
        yield show(graph, ("out", 0)).case(f"image_pad_{name}", capture)
