"""Image and mask nodes beyond those that most workflows use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.parity.case_file import Case
from scripts.parity.case_lists.images import METHODS
from scripts.parity.graph import Graph, show, show_masks


def cases() -> Iterator[Case]:
    """Pictures, then masks."""
    yield from _pictures()
    yield from _composited()
    yield from _masks()


def _picture(name: str, class_type: str, image: str = "odd.png", **inputs: Any) -> Case:
    graph = Graph().add("img", "LoadImage", image=image).add("out", class_type, image=("img", 0), **inputs)
    return show(graph, ("out", 0)).case(f"image_{name}", {"image": ("out", 0)})


def _pictures() -> Iterator[Case]:
    for axis in ("x-axis: vertically", "y-axis: horizontally"):
        yield _picture(f"flip_{axis[0]}", "ImageFlip", flip_method=axis)
    for rotation in ("none", "90 degrees", "180 degrees", "270 degrees"):
        yield _picture(f"rotate_{rotation.split()[0]}", "ImageRotate", rotation=rotation)
    yield _picture("from_batch", "ImageFromBatch", "animated.gif", batch_index=1, length=1)
    yield _picture("from_batch_beyond", "ImageFromBatch", "animated.gif", batch_index=9, length=9)
    yield _picture("repeat", "RepeatImageBatch", "animated.gif", amount=2)
    for method in METHODS:
        yield _of_total_pixels(method)


def _of_total_pixels(method: str) -> Case:
    """The far corner of the scaled picture: all of it would be the largest file here."""
    graph = Graph().add("img", "LoadImage", image="odd.png")
    graph.add("big", "ImageScaleToTotalPixels", image=("img", 0), upscale_method=method, megapixels=0.01)
    graph.add("out", "ImageCrop", image=("big", 0), width=64, height=64, x=100, y=70)
    return show(graph, ("out", 0)).case(f"image_scale_to_total_pixels_{method}", {"image": ("out", 0)})


def _composited() -> Iterator[Case]:
    for name, source, x, y, resize, mask in (
        ("plain", "odd.png", 7, 5, False, None),
        ("resized", "odd.png", 0, 0, True, None),
        ("masked", "gradient_alpha.png", 3, 9, False, ("source", 1)),
        ("over_the_edge", "odd.png", 50, 60, False, None),
        ("alpha_differs", "animated.gif", 20, 30, False, ("source", 1)),
    ):
        graph = Graph().add("img", "LoadImage", image="gradient.png").add("source", "LoadImage", image=source)
        pictures: dict[str, Any] = {"destination": ("img", 0), "source": ("source", 0)}
        graph.add("out", "ImageCompositeMasked", **pictures, x=x, y=y, resize_source=resize)
        if mask:
            graph.set("out", mask=mask)
        yield show(graph, ("out", 0)).case(f"image_composite_masked_{name}", {"image": ("out", 0)})


def _masks() -> Iterator[Case]:
    graph = Graph().add("img", "EmptyImage", width=7, height=5, batch_size=1, color=0x123456)
    graph.add("out", "ImageColorToMask", image=("img", 0), color=0x123456)
    yield show_masks(graph, ("out", 0)).case("mask_of_color", {"mask": ("out", 0)})
    for name, class_type, inputs in (
        ("crop", "CropMask", {"x": 5, "y": 3, "width": 11, "height": 200}),
        ("threshold", "ThresholdMask", {"value": 0.4}),
    ):
        graph = Graph().add("img", "LoadImage", image="animated.gif")
        graph.add("m", "ImageToMask", image=("img", 0), channel="red")
        graph.add("out", class_type, mask=("m", 0), **inputs)
        yield show_masks(graph, ("out", 0)).case(f"mask_{name}", {"mask": ("out", 0)})
