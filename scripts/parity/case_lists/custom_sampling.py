"""KSampler's and KSamplerAdvanced's own options, and the nodes that take sampling apart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.parity.case_file import Case, Link
from scripts.parity.case_lists.samplers import LATENT, masked_input
from scripts.parity.graph import Graph, decode, encoded, show, to_image, to_latent

BOTH: dict[str, Link] = {"latent.output": ("ks", 0), "latent.denoised": ("ks", 1)}


def cases() -> Iterator[Case]:
    """Single options first, then the graphs of custom sampling."""
    yield from _ksampler()
    yield from _advanced()
    yield from _sampler_custom()
    yield from _guiders()


def _ksampler() -> Iterator[Case]:
    variants: tuple[tuple[str, dict[str, Any]], ...] = (
        ("cfg_1", {"cfg": 1.0}),
        ("cfg_0", {"cfg": 0.0}),
        ("cfg_fraction", {"cfg": 1.37}),
        ("denoise_03", {"denoise": 0.3, "scheduler": "karras"}),
        ("denoise_099", {"denoise": 0.99}),
        ("denoise_0", {"denoise": 0.0}),
        ("one_step", {"steps": 1}),
        ("seed_largest", {"seed": 2**64 - 1}),
        ("seed_0", {"seed": 0, "sampler_name": "dpmpp_2m_sde"}),
    )
    for name, options in variants:
        yield to_latent(encoded(), **{"steps": 3, **options}).case(f"sd1_ksampler_{name}", LATENT)
    for width, height in ((64, 104), (56, 40), (32, 24)):
        yield to_latent(encoded(), size=(width, height), steps=2).case(f"sd1_size_{width}x{height}", LATENT)
    odd = to_image(encoded(), size=(72, 40), steps=2)
    yield odd.case("sd1_size_72x40", {**LATENT, "image": ("dec", 0)})
    yield to_latent(encoded("sdxl_mini"), size=(72, 104), steps=2).case("sdxl_size_72x104", LATENT)
    yield to_latent(encoded("sd2_mini"), size=(72, 56), batch=2, steps=2).case("sd2_size_72x56_batch", LATENT)


def _advanced() -> Iterator[Case]:
    for name, options in (
        ("plain", {}),
        ("no_noise", {"add_noise": "disable"}),
        ("leftover", {"end_at_step": 2, "return_with_leftover_noise": "enable"}),
        ("forced_clean", {"end_at_step": 2}),
        ("starts_late", {"start_at_step": 2}),
        ("ends_before_start", {"start_at_step": 3, "end_at_step": 2}),
        ("starts_at_end", {"start_at_step": 4}),
        ("discards_penultimate", {"sampler_name": "uni_pc", "end_at_step": 3}),
        ("sde_part", {"sampler_name": "dpmpp_sde", "start_at_step": 1, "end_at_step": 3}),
    ):
        yield _advanced_graph(**options).case(f"sd1_advanced_{name}", LATENT)


def _advanced_graph(**options: Any) -> Graph:
    graph = encoded().add("img", "LoadImage", image="gradient.png")
    graph.add("lat", "VAEEncode", pixels=("img", 0), vae=("ckpt", 2))
    usual = {
        "model": ("ckpt", 0), "add_noise": "enable", "noise_seed": 6, "steps": 4, "cfg": 5.0,
        "sampler_name": "euler", "scheduler": "normal", "positive": ("pos", 0), "negative": ("neg", 0),
        "latent_image": ("lat", 0), "start_at_step": 0, "end_at_step": 10000, "return_with_leftover_noise": "disable",
    }  # fmt: skip
    graph.add("ks", "KSamplerAdvanced", **{**usual, **options})
    return graph.add("save", "SaveLatent", samples=("ks", 0), filename_prefix="parity")


def _sampler_custom() -> Iterator[Case]:
    for name, options in (
        ("plain", {}),
        ("no_noise", {"add_noise": False}),
        ("stops_early", {"sigmas": ("split", 0)}),
        ("starts_late", {"sigmas": ("split", 1), "add_noise": False}),
        ("karras_node", {"sigmas": ("karras", 0)}),
    ):
        yield _custom_graph(**options).case(f"sd1_custom_{name}", BOTH)
    for sampler in ("euler_ancestral", "dpmpp_2m_sde", "ddim", "uni_pc", "dpm_fast"):
        graph = _custom_graph(sigmas=("split", 1)).add("samp", "KSamplerSelect", sampler_name=sampler)
        yield graph.case(f"sd1_custom_{sampler}", BOTH)
    yield masked_input(_custom_graph()).case("sd1_custom_masked", BOTH)


def _custom_graph(**options: Any) -> Graph:
    graph = encoded().add("lat", "EmptyLatentImage", width=64, height=64, batch_size=1)
    graph.add("samp", "KSamplerSelect", sampler_name="euler")
    graph.add("sig", "BasicScheduler", model=("ckpt", 0), scheduler="normal", steps=5, denoise=1.0)
    graph.add("split", "SplitSigmas", sigmas=("sig", 0), step=2)
    graph.add("karras", "KarrasScheduler", steps=3, sigma_max=12.0, sigma_min=0.05, rho=5.0)
    usual = {
        "model": ("ckpt", 0), "add_noise": True, "noise_seed": 6, "cfg": 5.0, "positive": ("pos", 0),
        "negative": ("neg", 0), "sampler": ("samp", 0), "sigmas": ("sig", 0), "latent_image": ("lat", 0),
    }  # fmt: skip
    graph.add("ks", "SamplerCustom", **{**usual, **options})
    return graph.add("save", "SaveLatent", samples=("ks", 0), filename_prefix="parity")


def _guiders() -> Iterator[Case]:
    basic = {"class_type": "BasicGuider", "model": ("ckpt", 0), "conditioning": ("pos", 0)}
    cfg = {"class_type": "CFGGuider", "model": ("ckpt", 0), "positive": ("pos", 0), "negative": ("neg", 0), "cfg": 4.0}
    yield _guided(basic).case("sd1_basic_guider", BOTH)
    yield _guided({**cfg, "cfg": 1.0}).case("sd1_cfg_guider_1", BOTH)
    yield _guided(cfg, sampler="dpmpp_2m_sde").case("sd1_cfg_guider_sde", BOTH)
    yield masked_input(_guided(cfg)).case("sd1_cfg_guider_masked", BOTH)
    yield _guided(cfg).add("noise", "DisableNoise").case("sd1_disable_noise", BOTH)
    yield _two_guided_stages(cfg)
    yield _guided(basic, checkpoint="sdxl_ztsnr_mini").case("sdxl_ztsnr_basic_guider", BOTH)


def _guided(guider: dict[str, Any], *, sampler: str = "euler", checkpoint: str = "sd1_mini") -> Graph:
    graph = encoded(checkpoint).add("lat", "EmptyLatentImage", width=64, height=64, batch_size=1)
    graph.add("noise", "RandomNoise", noise_seed=9).add("guider", **guider)
    graph.add("samp", "KSamplerSelect", sampler_name=sampler)
    graph.add("sig", "BasicScheduler", model=("ckpt", 0), scheduler="karras", steps=4, denoise=1.0)
    graph.add("ks", "SamplerCustomAdvanced", **_parts("noise", ("sig", 0)), latent_image=("lat", 0))
    return graph.add("save", "SaveLatent", samples=("ks", 0), filename_prefix="parity")


def _parts(noise: str, sigmas: Link) -> dict[str, Link]:
    return {"noise": (noise, 0), "guider": ("guider", 0), "sampler": ("samp", 0), "sigmas": sigmas}


def _two_guided_stages(guider: dict[str, Any]) -> Case:
    """High sigmas with noise, low sigmas without: the same picture as in one go."""
    graph = _guided(guider).add("none", "DisableNoise").add("split", "SplitSigmas", sigmas=("sig", 0), step=2)
    graph.add("first", "SamplerCustomAdvanced", **_parts("noise", ("split", 0)), latent_image=("lat", 0))
    graph.add("ks", "SamplerCustomAdvanced", **_parts("none", ("split", 1)), latent_image=("first", 0))
    capture: dict[str, Link] = {**BOTH, "latent.first": ("first", 0), "image": ("dec", 0)}
    return show(decode(graph, ("ks", 1)), ("dec", 0)).case("sd1_two_guided_stages", capture)
