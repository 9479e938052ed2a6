"""The primitive value nodes, each at work where its value is linked."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.parity.case_file import Case, Link
from scripts.parity.graph import Graph, consume_conditioning, encoded, show, show_masks


def cases() -> Iterator[Case]:
    """One case for each primitive node."""
    value: dict[str, Link] = {"value": ("v", 0)}
    graph = Graph().add("v", "PrimitiveInt", value=19)
    graph.add("out", "EmptyImage", width=("v", 0), height=("v", 0), batch_size=1, color=255)
    yield show(graph, ("out", 0)).case("value_int", {**value, "image": ("out", 0)})

    graph = Graph().add("v", "PrimitiveFloat", value=0.3).add("img", "LoadImage", image="odd.png")
    graph.add("out", "ImageScaleBy", image=("img", 0), upscale_method="area", scale_by=("v", 0))
    yield show(graph, ("out", 0)).case("value_float", {**value, "image": ("out", 0)})

    for class_type, text in (("PrimitiveString", "a (red:1.2) cat"), ("PrimitiveStringMultiline", "a cat\non a mat\n")):
        graph = encoded().add("v", class_type, value=text).set("pos", text=("v", 0))
        name = "string_multiline" if class_type.endswith("Multiline") else "string"
        yield consume_conditioning(graph, ("pos", 0)).case(f"value_{name}", {**value, "cond": ("pos", 0)})

    for truth in (True, False):
        graph = Graph().add("v", "PrimitiveBoolean", value=truth).add("img", "LoadImage", image="animated.gif")
        graph.add("m", "ImageToMask", image=("img", 0), channel="green")
        graph.add("out", "GrowMask", mask=("m", 0), expand=2, tapered_corners=("v", 0))
        yield show_masks(graph, ("out", 0)).case(f"value_{str(truth).lower()}", {**value, "mask": ("out", 0)})
