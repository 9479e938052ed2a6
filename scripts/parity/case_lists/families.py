"""Each model family: a picture, its prompts' encodings at each CLIP skip, and what only that family has."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.parity.case_file import Case, Link
from scripts.parity.graph import ASTRONAUT, Graph, consume_conditioning, decode, encoded, show, to_image, to_latent

ENCODINGS: dict[str, Link] = {"cond": ("pos", 0), "pooled": ("pos", 0)}
LATENT: dict[str, Link] = {"latent": ("ks", 0)}
WHOLE: dict[str, Link] = {**ENCODINGS, **LATENT, "image": ("dec", 0)}
SDXL_PROMPT: dict[str, Link] = {"conditioning": ("pos", 0), **LATENT}
# What is kept of a family's picture: the v-prediction ones have the encoder and the VAE of their base.
FAMILIES = {
    "sd2_mini": WHOLE,
    "sd2_v_mini": LATENT,
    "sdxl_refiner_mini": WHOLE,
    "sdxl_v_mini": LATENT,
    "sdxl_ztsnr_mini": LATENT,
}
CLIP_KINDS = ("sd1_mini", "sd2_mini", "sdxl_mini", "sdxl_refiner_mini")


def cases() -> Iterator[Case]:
    """A picture of each family, then the families' own nodes and options."""
    for checkpoint, kept in FAMILIES.items():
        picture = to_image(encoded(checkpoint), seed=17, steps=4)
        yield picture.case(f"{_family(checkpoint)}_euler_normal", kept)
        rectangle = to_latent(encoded(checkpoint), size=(96, 64), seed=18, steps=3, cfg=1.0, scheduler="karras")
        yield rectangle.case(f"{_family(checkpoint)}_rectangle_cfg_1", {"latent": ("ks", 0)})
    yield from _clip_skips()
    yield from _sdxl_text()
    yield from _refined()
    yield from _vae_file()


def _family(checkpoint: str) -> str:
    return checkpoint.removesuffix("_mini")


def _clip_skips() -> Iterator[Case]:
    for checkpoint in CLIP_KINDS:
        for layer in (-1, -2, -3, -4):
            if (checkpoint, layer) == ("sd1_mini", -2):
                continue  # a picture has it
            graph = encoded(checkpoint).add("skip", "CLIPSetLastLayer", clip=("ckpt", 1), stop_at_clip_layer=layer)
            graph.set("pos", clip=("skip", 0))
            name = f"{_family(checkpoint)}_clip_skip_{-layer}"
            yield consume_conditioning(graph, ("pos", 0)).case(name, ENCODINGS)


def _sdxl_text() -> Iterator[Case]:
    sizes = {"width": 1152, "height": 896, "crop_w": 16, "crop_h": 8, "target_width": 1024, "target_height": 768}
    graph = _with_sdxl_prompt("a lighthouse at dusk", "oil painting, (thick:1.3) strokes", **sizes)
    yield to_image(graph, seed=19, steps=4).case("sdxl_text_encode_sdxl", SDXL_PROMPT)
    short = {"width": 0, "height": 512, "crop_w": 0, "crop_h": 0, "target_width": 512, "target_height": 0}
    long = ", ".join(f"tower {index}" for index in range(30))
    for name, text_g, text_l in (("longer_g", long, "short"), ("longer_l", "short", long), ("empty", "", "")):
        graph = consume_conditioning(_with_sdxl_prompt(text_g, text_l, **short), ("pos", 0))
        yield graph.case(f"sdxl_text_encode_sdxl_{name}", ENCODINGS)
    yield _negative_has_its_own_size(sizes)


def _with_sdxl_prompt(text_g: str, text_l: str, **sizes: Any) -> Graph:
    graph = encoded("sdxl_mini")
    return graph.add("pos", "CLIPTextEncodeSDXL", clip=("ckpt", 1), text_g=text_g, text_l=text_l, **sizes)


def _negative_has_its_own_size(sizes: dict[str, int]) -> Case:
    graph = _with_sdxl_prompt("a lighthouse at dusk", "oil painting", **sizes)
    small = {**sizes, "width": 256, "height": 256}
    graph.add("neg", "CLIPTextEncodeSDXL", clip=("ckpt", 1), text_g="blurry", text_l="ugly", **small)
    return to_latent(graph, size=(96, 128), steps=3).case("sdxl_sizes_differ", {"latent": ("ks", 0)})


def _refined() -> Iterator[Case]:
    graph = to_latent(encoded("sdxl_mini"), seed=23, steps=3)
    graph.add("refiner", "CheckpointLoaderSimple", ckpt_name="sdxl_refiner_mini.safetensors")
    graph.add("rpos", "CLIPTextEncode", text=ASTRONAUT, clip=("refiner", 1))
    graph.add("rneg", "CLIPTextEncode", text="blurry", clip=("refiner", 1))
    refining = {"model": ("refiner", 0), "positive": ("rpos", 0), "negative": ("rneg", 0), "denoise": 0.3}
    graph.add("ks2", "KSampler", **{**graph.nodes["ks"]["inputs"], **refining, "latent_image": ("ks", 0)})
    yield show(decode(graph, ("ks2", 0)), ("dec", 0)).case("sdxl_base_and_refiner", {"latent": ("ks2", 0)})


def _vae_file() -> Iterator[Case]:
    graph = encoded().add("vae", "VAELoader", vae_name="vae_mini.safetensors")
    graph.add("img", "LoadImage", image="gradient.png").add("lat", "VAEEncode", pixels=("img", 0), vae=("vae", 0))
    graph.add("dec", "VAEDecode", samples=("lat", 0), vae=("vae", 0))
    yield show(graph, ("dec", 0)).case("vae_loader", {"encoded": ("lat", 0), "image": ("dec", 0)})
