"""Pictures enlarged by a model."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.parity.case_file import Case
from scripts.parity.graph import Graph, show

MODELS = ("esrgan_old_mini", "bsrgan_x2_mini", "realesrgan_x2_mini", "esrgan_plus_1x_mini", "compact_x4_mini")


def cases() -> Iterator[Case]:
    """Each architecture and naming, then pictures of several tiles, of one pixel and in a batch."""
    for model in MODELS:
        yield _enlarged(Graph().add("img", "LoadImage", image="odd.png"), model).case(
            f"upscale_{model.removesuffix('_mini')}", {"image": ("part", 0)}
        )
    wide = Graph().add("odd", "LoadImage", image="odd.png")
    wide.add("img", "ImageScale", image=("odd", 0), upscale_method="bicubic", width=530, height=21, crop="disabled")
    wide = _enlarged(wide, "compact_x4_mini")
    wide.add("seam", "ImageCrop", image=("big", 0), width=96, height=40, x=1920, y=30)
    yield show(wide, ("seam", 0)).case("upscale_two_tiles", {"image": ("seam", 0)})
    for model in ("esrgan_old_mini", "realesrgan_x2_mini"):
        tiny = Graph().add("odd", "LoadImage", image="odd.png")
        tiny.add("img", "ImageCrop", image=("odd", 0), width=1, height=1, x=5, y=7)
        tiny = _enlarged(tiny, model)
        yield tiny.case(f"upscale_one_pixel_{model.removesuffix('_mini')}", {"image": ("big", 0)})
    batch = _enlarged(Graph().add("img", "LoadImage", image="animated.gif"), "bsrgan_x2_mini")
    yield batch.case("upscale_batch", {"image": ("part", 0)})


def _enlarged(graph: Graph, model: str) -> Graph:
    """The picture `img` enlarged to `big`, and a part of that, `part`, saved."""
    graph.add("loader", "UpscaleModelLoader", model_name=f"{model}.safetensors")
    graph.add("big", "ImageUpscaleWithModel", upscale_model=("loader", 0), image=("img", 0))
    graph.add("part", "ImageCrop", image=("big", 0), width=64, height=48, x=40, y=30)  # all would be large files
    return show(graph, ("part", 0))
