"""Inpainting: the nodes that prepare it, on the inpainting model and on a plain one, with masks of every batch size."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.parity.case_file import Case, Link
from scripts.parity.case_lists.samplers import LATENT
from scripts.parity.graph import Graph, encoded, to_latent


def cases() -> Iterator[Case]:
    """The preparing nodes, then noise masks in batches and of other sizes."""
    yield from _conditioned()
    yield from _encoded()
    yield from _masks()
    yield _inpaint_model_without_picture()
    for family in ("sd2", "sdxl"):
        yield _other_family(family)


def _conditioned() -> Iterator[Case]:
    for checkpoint in ("sd1_inpaint_mini", "sd1_mini"):
        for noise_mask in (True, False):
            graph = to_latent(encoded(checkpoint), seed=33, steps=3)
            _load(graph)
            parts = {"positive": ("pos", 0), "negative": ("neg", 0), "vae": ("ckpt", 2)}
            graph.add("in", "InpaintModelConditioning", **parts, pixels=("img", 0), mask=("img", 1))
            graph.set("in", noise_mask=noise_mask)
            graph.set("ks", positive=("in", 0), negative=("in", 1), latent_image=("in", 2))
            name = f"{checkpoint.removesuffix('_mini')}_conditioning_{'masked' if noise_mask else 'free'}"
            yield graph.case(name, {**LATENT, "encoded": ("in", 2), **_kept(noise_mask=noise_mask)})


def _kept(*, noise_mask: bool) -> dict[str, Link]:
    conditioning: dict[str, Link] = {"conditioning": ("in", 1)}
    return {**conditioning, "noise_mask": ("in", 2)} if noise_mask else conditioning


def _load(graph: Graph) -> None:
    """A picture whose sides are no multiples of 8, and its mask, as `img`."""
    graph.add("img", "LoadImage", image="gray_alpha.png")


def _encoded() -> Iterator[Case]:
    for grow in (0, 1, 7, 64):
        graph = encoded()
        _load(graph)
        inputs = {"pixels": ("img", 0), "vae": ("ckpt", 2), "mask": ("img", 1), "grow_mask_by": grow}
        graph.add("out", "VAEEncodeForInpaint", **inputs)
        graph.add("save", "SaveLatent", samples=("out", 0), filename_prefix="parity")
        yield graph.case(f"vae_encode_for_inpaint_{grow}", {"encoded": ("out", 0), "noise_mask": ("out", 0)})


def _masks() -> Iterator[Case]:
    for name, batch, mask in (
        ("batch_one_mask", 2, "patch"),
        ("batch_a_mask_each", 3, "frames"),
        ("batch_fewer_masks", 4, "frames"),
        ("batch_more_masks", 2, "frames"),
        ("other_size", 1, "wide"),
        ("half", 1, "half"),
    ):
        graph = to_latent(encoded(), batch=batch, seed=34, steps=3)
        _add_masks(graph)
        graph.add("in", "SetLatentNoiseMask", samples=("lat", 0), mask=(mask, 0)).set("ks", latent_image=("in", 0))
        yield graph.case(f"sd1_noise_mask_{name}", LATENT)
    graph = to_latent(encoded("sdxl_mini"), batch=2, seed=34, steps=2)
    _add_masks(graph)
    graph.add("in", "SetLatentNoiseMask", samples=("lat", 0), mask=("wide", 0)).set("ks", latent_image=("in", 0))
    yield graph.case("sdxl_noise_mask_batch", LATENT)


def _add_masks(graph: Graph) -> None:
    graph.add("gif", "LoadImage", image="animated.gif").add("wave", "LoadImage", image="odd.png")
    graph.add("frames", "ImageToMask", image=("gif", 0), channel="red")
    graph.add("patch", "LoadImageMask", image="gradient_alpha.png", channel="alpha")
    graph.add("wide", "ImageToMask", image=("wave", 0), channel="green")
    graph.add("half", "SolidMask", value=0.5, width=64, height=64)


def _inpaint_model_without_picture() -> Case:
    graph = to_latent(encoded("sd1_inpaint_mini"), batch=2, seed=35, steps=3)
    return graph.case("sd1_inpaint_empty_latent", LATENT)


def _other_family(family: str) -> Case:
    graph = to_latent(encoded(f"{family}_inpaint_mini"), seed=36, steps=3)
    _load(graph)
    parts = {"positive": ("pos", 0), "negative": ("neg", 0), "vae": ("ckpt", 2), "noise_mask": True}
    graph.add("in", "InpaintModelConditioning", **parts, pixels=("img", 0), mask=("img", 1))
    graph.set("ks", positive=("in", 0), negative=("in", 1), latent_image=("in", 2))
    return graph.case(f"{family}_inpaint_model", LATENT)
