"""The mask nodes: each operation, channel and direction, with batches and with sources that reach over the edge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.parity.case_file import Case
from scripts.parity.graph import Graph, show, show_masks

OPERATIONS = ("multiply", "add", "subtract", "and", "or", "xor")


def cases() -> Iterator[Case]:
    """The mask nodes, one case for each option."""
    yield from _made()
    yield from _composited()
    for name, expand, tapered in (
        ("tapered", 3, True),
        ("square", 3, False),
        ("shrunk_tapered", -3, True),
        ("shrunk_square", -2, False),
        ("unchanged", 0, True),
    ):
        yield _changed(f"mask_grow_{name}", "GrowMask", expand=expand, tapered_corners=tapered)
    yield _changed("mask_feather", "FeatherMask", left=6, top=3, right=9, bottom=5)
    yield _changed("mask_feather_beyond", "FeatherMask", left=200, top=0, right=0, bottom=300)
    yield _changed("mask_invert", "InvertMask")


def _from_pictures() -> Graph:
    """Masks `m` (3, 24, 32) from an animation's red channel."""
    graph = Graph().add("img", "LoadImage", image="animated.gif")
    return graph.add("m", "ImageToMask", image=("img", 0), channel="red")


def _changed(name: str, class_type: str, **inputs: Any) -> Case:
    graph = _from_pictures().add("out", class_type, mask=("m", 0), **inputs)
    return show_masks(graph, ("out", 0)).case(name, {"mask": ("out", 0)})


def _made() -> Iterator[Case]:
    graph = Graph().add("out", "SolidMask", value=0.37, width=9, height=5)
    yield show_masks(graph, ("out", 0)).case("mask_solid", {"mask": ("out", 0)})
    channels = ("red", "green", "blue")
    graph = Graph().add("img", "LoadImage", image="odd.png")
    for channel in channels:
        graph.add(channel, "ImageToMask", image=("img", 0), channel=channel)
    graph = show_masks(graph, *((channel, 0) for channel in channels))
    yield graph.case("mask_from_image", {f"mask.{channel}": (channel, 0) for channel in channels})
    graph = _from_pictures().add("out", "MaskToImage", mask=("m", 0))
    yield show(graph, ("out", 0)).case("mask_to_image", {"image": ("out", 0)})


def _composited() -> Iterator[Case]:
    for operation in OPERATIONS:
        yield _composite(operation, source_size=(12, 10), x=5, y=7, operation=operation)
    yield _composite("over_the_edge", source_size=(12, 10), x=26, y=20, operation="subtract")
    graph = _from_pictures().add("turned", "InvertMask", mask=("m", 0))
    masks = {"destination": ("m", 0), "source": ("turned", 0)}
    graph.add("out", "MaskComposite", **masks, x=2, y=3, operation="add")
    yield show_masks(graph, ("out", 0)).case("mask_composite_batch", {"mask": ("out", 0)})


def _composite(name: str, *, source_size: tuple[int, int], x: int, y: int, operation: str) -> Case:
    width, height = source_size
    graph = _from_pictures().add("source", "SolidMask", value=0.6, width=width, height=height)
    masks = {"destination": ("m", 0), "source": ("source", 0)}
    graph.add("out", "MaskComposite", **masks, x=x, y=y, operation=operation)
    return show_masks(graph, ("out", 0)).case(f"mask_composite_{name}", {"mask": ("out", 0)})
