"""LoRAs: each strength, alone and stacked, by each trainer's names, and with a text encoder that stops early."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.parity.case_file import Case, Link
from scripts.parity.graph import Graph, consume_conditioning, encoded, to_latent

KOHYA = "sd1_lora_mini"
DIFFUSERS = "sd1_lora_diffusers_mini"
SDXL = "sdxl_lora_mini"
LYCORIS = "sd1_lycoris_mini"
COND: dict[str, Link] = {"cond": ("pos", 0)}
POOLED: dict[str, Link] = {"pooled": ("pos", 0)}
LATENT: dict[str, Link] = {"latent": ("ks", 0)}
# Case -> the strengths for model and text encoder, and what is kept.
STRENGTHS: dict[str, tuple[float, float, dict[str, Link]]] = {
    "full": (1.0, 1.0, {**COND, **POOLED, **LATENT}),
    "apart": (0.6, 1.35, {**POOLED, **LATENT}),
    "negative": (-0.5, -1.0, {**COND, **LATENT}),
    "model_alone": (0.8, 0.0, LATENT),
    "clip_alone": (0.0, 0.8, {**POOLED, **LATENT}),
    "none": (0.0, 0.0, {**POOLED, **LATENT}),
}


def cases() -> Iterator[Case]:
    """SD 1.x in every way, and SDXL, whose two text encoders have changes of their own."""
    for name, (for_model, for_clip, kept) in STRENGTHS.items():
        yield _sampled(_add(encoded(), "lora", KOHYA, for_model, for_clip)).case(f"lora_{name}", kept)
    diffusers = _sampled(_add(encoded(), "lora", DIFFUSERS, 1.0, 1.0))
    yield diffusers.case("lora_diffusers_names", {**POOLED, **LATENT})
    yield _model_only()
    yield from _stacked()
    yield from _clip_skips()
    yield from _sdxl()
    yield from _other_kinds()
    yield from _misfits()


def _add(graph: Graph, node_id: str, name: str, for_model: float, for_clip: float, *, on: str = "ckpt") -> Graph:
    """Put a LoRA on the model and the text encoder of the node `on`, and give its text encoder to the prompts."""
    strengths = {"strength_model": for_model, "strength_clip": for_clip}
    name = f"{name}.safetensors"
    graph.add(node_id, "LoraLoader", model=(on, 0), clip=(on, 1), lora_name=name, **strengths)
    return graph.set("pos", clip=(node_id, 1)).set("neg", clip=(node_id, 1))


def _sampled(graph: Graph, model: str = "lora") -> Graph:
    return to_latent(graph, model=(model, 0), seed=31, steps=3)


def _model_only() -> Case:
    graph = encoded().add(
        "lora", "LoraLoaderModelOnly", model=("ckpt", 0), lora_name=f"{KOHYA}.safetensors", strength_model=0.75
    )
    return _sampled(graph).case("lora_model_only", LATENT)


def _stacked() -> Iterator[Case]:
    """Two files, the second on the first; then the same file twice, whose changes cancel each other."""
    graph = _add(_add(encoded(), "first", KOHYA, 0.7, 0.9), "lora", DIFFUSERS, 1.1, 0.8, on="first")
    yield _sampled(graph).case("lora_stacked", {**COND, **POOLED, **LATENT})
    graph = _add(_add(encoded(), "first", KOHYA, 0.7, 0.9), "lora", KOHYA, -0.7, -0.9, on="first")
    yield _sampled(graph).case("lora_stacked_cancelling", {**POOLED, **LATENT})


def _clip_skips() -> Iterator[Case]:
    """Clip skip behind the LoRA and in front of it."""
    graph = _add(encoded(), "lora", KOHYA, 1.0, 1.0)
    graph.add("skip", "CLIPSetLastLayer", clip=("lora", 1), stop_at_clip_layer=-2)
    graph.set("pos", clip=("skip", 0))
    yield consume_conditioning(graph, ("pos", 0)).case("lora_then_clip_skip", {**COND, **POOLED})
    graph = encoded().add("skip", "CLIPSetLastLayer", clip=("ckpt", 1), stop_at_clip_layer=-2)
    _add(graph, "lora", KOHYA, 1.0, 1.0).set("lora", clip=("skip", 0))
    yield consume_conditioning(graph, ("pos", 0)).case("lora_after_clip_skip", {**COND, **POOLED})


def _sdxl() -> Iterator[Case]:
    graph = _add(encoded("sdxl_mini"), "lora", SDXL, 0.8, 1.0)
    yield _sampled(graph).case("lora_sdxl", {**COND, **POOLED, **LATENT})
    graph = _add(_add(encoded("sdxl_v_mini"), "first", SDXL, 0.5, 0.4), "lora", SDXL, 0.3, -0.2, on="first")
    graph.add("read", "RescaleCFG", model=("lora", 0), multiplier=0.7)
    yield _sampled(graph, model="read").case("lora_sdxl_stacked", {**POOLED, **LATENT})


def _other_kinds() -> Iterator[Case]:
    """LoHa, LoKr, DoRA and whole differences, of weights and of biases, in one file; alone and on a LoRA."""
    graph = _add(encoded(), "lora", LYCORIS, 1.0, 1.0)
    yield _sampled(graph).case("lora_other_kinds", {**COND, **POOLED, **LATENT})
    graph = _add(_add(encoded(), "first", KOHYA, 0.7, 0.9), "lora", LYCORIS, 0.6, -0.5, on="first")
    yield _sampled(graph).case("lora_other_kinds_stacked", {**COND, **POOLED, **LATENT})


def _misfits() -> Iterator[Case]:
    """A LoRA for another family: what does not fit is left out, what does is used."""
    graph = _add(encoded("sd2_mini"), "lora", KOHYA, 1.0, 1.0)
    yield _sampled(graph).case("lora_of_sd1_on_sd2", {**COND, **POOLED, **LATENT})
    graph = _add(encoded("sdxl_mini"), "lora", DIFFUSERS, 1.0, 1.0)
    yield _sampled(graph).case("lora_of_sd1_on_sdxl", {**COND, **LATENT})
