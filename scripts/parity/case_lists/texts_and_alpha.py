"""Nodes of texts, and of pictures with transparency or of a largest side."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.parity.case_file import Case
from scripts.parity.graph import Graph, encoded, show, show_masks

TEXT = "  A Red cat, a BLUE hat \n"


def cases() -> Iterator[Case]:
    """Texts, each through the size of a picture that they are the length of; then pictures."""
    yield _text("concatenate", "StringConcatenate", string_a="a cat", string_b="a hat", delimiter=" and ")
    for name, start, end in (("middle", 4, 9), ("from_the_end", -9, -2), ("none", 9, 4)):
        yield _text(f"substring_{name}", "StringSubstring", string=TEXT, start=start, end=end)
    for mode in ("UPPERCASE", "lowercase", "Capitalize", "Title Case"):
        yield _text(f"case_{mode.split()[0].lower()}", "CaseConverter", string=TEXT, mode=mode)
    for mode in ("Both", "Left", "Right"):
        yield _text(f"trim_{mode.lower()}", "StringTrim", string=TEXT, mode=mode)
    yield _text("replace", "StringReplace", string=TEXT, find="a ", replace="the ")
    for minds in (True, False):
        name = "case" if minds else "any_case"
        asked = {"string": TEXT, "substring": "blue", "case_sensitive": minds}
        yield _truth(f"contains_{name}", "StringContains", **asked)
        for mode in ("Starts With", "Ends With", "Equal"):
            other = "a red" if mode != "Ends With" else "BLUE HAT"
            asked = {"string_a": TEXT.strip(), "string_b": other, "mode": mode, "case_sensitive": minds}
            yield _truth(f"compare_{mode.split()[0].lower()}_{name}", "StringCompare", **asked)
    yield from _pictures()


def _text(name: str, class_type: str, **inputs: Any) -> Case:
    """A text as a prompt, and its length as the side of a picture."""
    graph = encoded().add("text", class_type, **inputs).set("pos", text=("text", 0))
    graph.add("more", "StringConcatenate", string_a=("text", 0), string_b="x" * 20, delimiter="")
    graph.add("side", "StringLength", string=("more", 0))
    graph.add("out", "EmptyImage", width=("side", 0), height=("side", 0), batch_size=1, color=255)
    return show(graph, ("out", 0)).case(f"text_{name}", {"value.text": ("text", 0), "value.length": ("side", 0)})


def _truth(name: str, class_type: str, **inputs: Any) -> Case:
    graph = Graph().add("asked", class_type, **inputs).add("img", "LoadImage", image="animated.gif")
    graph.add("m", "ImageToMask", image=("img", 0), channel="green")
    graph.add("out", "GrowMask", mask=("m", 0), expand=1, tapered_corners=("asked", 0))
    return show_masks(graph, ("out", 0)).case(f"text_{name}", {"value": ("asked", 0)})


def _pictures() -> Iterator[Case]:
    for name, image in (("alpha", "gradient_alpha.png"), ("none", "odd.png")):
        graph = Graph().add("img", "LoadImage", image=image)
        graph.add("m", "LoadImageMask", image=image, channel="red")
        graph.add("joined", "JoinImageWithAlpha", image=("img", 0), alpha=("m", 0))
        graph.add("split", "SplitImageWithAlpha", image=("joined", 0))
        yield show(graph, ("split", 0)).case(f"alpha_{name}", {"image": ("split", 0), "mask": ("split", 1)})
    plain = Graph().add("img", "LoadImage", image="odd.png").add("split", "SplitImageWithAlpha", image=("img", 0))
    yield show_masks(plain, ("split", 1)).case("alpha_of_a_plain_picture", {"mask": ("split", 1)})
    graph = Graph().add("img", "LoadImage", image="animated.gif").add("other", "LoadImage", image="odd.png")
    graph.add("m", "ImageToMask", image=("other", 0), channel="red")
    graph.add("joined", "JoinImageWithAlpha", image=("img", 0), alpha=("m", 0))
    graph.add("split", "SplitImageWithAlpha", image=("joined", 0))
    yield show(graph, ("split", 0)).case("alpha_of_another_size", {"mask": ("split", 1), "image": ("split", 0)})
    for method in ("area", "lanczos", "bilinear", "nearest-exact", "bicubic"):
        graph = Graph().add("img", "LoadImage", image="odd.png")
        graph.add("out", "ImageScaleToMaxDimension", image=("img", 0), upscale_method=method, largest_size=40)
        yield show(graph, ("out", 0)).case(f"image_scale_to_max_{method}", {"image": ("out", 0)})
    graph = Graph().add("img", "LoadImage", image="animated.gif").add("size", "GetImageSize", image=("img", 0))
    graph.add("out", "EmptyImage", width=("size", 0), height=("size", 1), batch_size=("size", 2), color=255)
    kept = {"value.width": ("size", 0), "value.height": ("size", 1), "value.count": ("size", 2)}
    yield show(graph, ("out", 0)).case("image_size", kept)
