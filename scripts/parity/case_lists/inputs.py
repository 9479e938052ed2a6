"""Pictures and latents from files: every mode of a picture that LoadImage and LoadImageMask treat in their own way."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.parity.case_file import Case
from scripts.parity.graph import Graph, show, show_masks

PICTURES = (
    "gradient_alpha.png", "palette.png", "palette_opaque.png", "gray.png", "gray_alpha.png", "gray16.png",
    "bilevel.png", "rotated.png", "rotated.jpg", "animated.gif", "pages.tiff", "int32.tiff",
)  # fmt: skip
MASKED = ("gradient_alpha.png", "gray16.png", "palette.png", "gray.png", "rotated.png")
LATENTS = ("saved.latent", "saved_before_versions.latent")


def cases() -> Iterator[Case]:
    """A case a file, and for masks a case a file that holds every channel."""
    for name in PICTURES:
        graph = show(Graph().add("img", "LoadImage", image=name), ("img", 0))
        yield graph.case(f"load_image_{_title(name)}", {"image": ("img", 0), "mask": ("img", 1)})
    for name in MASKED:
        yield _channels(name)
    for name in LATENTS:
        graph = Graph().add("lat", "LoadLatent", latent=name)
        graph.add("save", "SaveLatent", samples=("lat", 0), filename_prefix="parity")
        yield graph.case(f"load_latent_{_title(name)}", {"latent": ("lat", 0)})


def _channels(name: str) -> Case:
    channels = ("alpha", "red", "green", "blue")
    graph = Graph()
    for channel in channels:
        graph.add(channel, "LoadImageMask", image=name, channel=channel)
    show_masks(graph, *((channel, 0) for channel in channels))
    return graph.case(f"load_image_mask_{_title(name)}", {f"mask.{channel}": (channel, 0) for channel in channels})


def _title(name: str) -> str:
    return name.replace(".", "_")
