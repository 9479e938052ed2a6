"""Whole pictures with `sd1_mini` and its neighbours: each way that samples, conditionings and latents come together."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.parity.case_file import Case, Link
from scripts.parity.graph import Graph, decode, encoded, show, to_image

PICTURE: dict[str, Link] = {"cond": ("pos", 0), "latent": ("ks", 0), "image": ("dec", 0)}
WEIGHTED = "a (red:1.4) cube, ((shiny)) \\(wood\\), [ignored], (a (nested:0.5) phrase:1.2)"
LONG = " ".join(f"word{index} castle, mountain" for index in range(40))
SAMPLERS = (
    "euler_ancestral", "heun", "dpm_2", "lms", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_sde", "ddim", "uni_pc", "lcm",
)  # fmt: skip
SCHEDULERS = ("karras", "exponential", "sgm_uniform", "simple", "ddim_uniform", "beta")


def cases() -> Iterator[Case]:
    """The pictures, one case each."""
    yield from _text_to_image()
    yield from _samplers_and_schedulers()
    yield from _sdxl()
    yield from _image_to_image()
    yield from _two_passes()
    yield from _two_prompts()
    yield _custom_sampler()


def _text_to_image() -> Iterator[Case]:
    yield to_image(encoded(), size=(128, 96), seed=42, steps=8, cfg=7.0).case("sd1_euler_normal", PICTURE)
    weighted = encoded(positive=WEIGHTED, negative="(ugly:1.5)")
    yield to_image(weighted, seed=7, steps=4, cfg=5.5, scheduler="karras").case("sd1_prompt_weights", PICTURE)
    long = encoded(positive=LONG, negative="")
    yield to_image(long, seed=3, steps=3, cfg=8.0, scheduler="simple").case("sd1_long_prompt", PICTURE)
    yield to_image(encoded(), batch=2).case("sd1_batch2", PICTURE)
    skipping = encoded().add("skip", "CLIPSetLastLayer", clip=("ckpt", 1), stop_at_clip_layer=-2)
    skipping.set("pos", clip=("skip", 0)).set("neg", clip=("skip", 0))
    yield to_image(skipping, seed=21, cfg=7.0).case("sd1_clip_skip_2", PICTURE)


def _samplers_and_schedulers() -> Iterator[Case]:
    for sampler in SAMPLERS:
        graph = to_image(encoded(), seed=1234, steps=6, sampler_name=sampler)
        yield graph.case(f"sd1_sampler_{sampler}", PICTURE)
    for scheduler in SCHEDULERS:
        yield to_image(encoded(), seed=99, steps=6, scheduler=scheduler).case(f"sd1_scheduler_{scheduler}", PICTURE)


def _sdxl() -> Iterator[Case]:
    karras = to_image(
        encoded("sdxl_mini"), size=(128, 128), seed=11, steps=8, cfg=6.5, sampler_name="dpmpp_2m", scheduler="karras"
    )
    yield karras.case("sdxl_dpmpp_2m_karras", PICTURE)
    ancestral = to_image(
        encoded("sdxl_mini", negative=""), size=(96, 128), seed=12, steps=5, cfg=5.0, sampler_name="euler_ancestral"
    )
    yield ancestral.case("sdxl_euler_ancestral", PICTURE)


def _image_to_image() -> Iterator[Case]:
    graph = to_image(encoded(), seed=31, steps=8, cfg=7.0, denoise=0.6)
    graph.add("img", "LoadImage", image="gradient.png").add("lat", "VAEEncode", pixels=("img", 0), vae=("ckpt", 2))
    yield graph.case("sd1_img2img", {**PICTURE, "encoded": ("lat", 0)})

    graph = to_image(encoded(), seed=31, steps=8, cfg=7.0, denoise=0.6)
    graph.add("img", "LoadImage", image="gradient_alpha.png")
    graph.add("enc", "VAEEncode", pixels=("img", 0), vae=("ckpt", 2))
    graph.add("lat", "SetLatentNoiseMask", samples=("enc", 0), mask=("img", 1))
    yield graph.case("sd1_noise_mask", PICTURE)

    graph = to_image(encoded("sd1_inpaint_mini"), seed=33, steps=6, cfg=7.0)
    graph.add("img", "LoadImage", image="gradient_alpha.png")
    inpaint = {"pixels": ("img", 0), "vae": ("ckpt", 2), "mask": ("img", 1), "grow_mask_by": 6}
    graph.add("lat", "VAEEncodeForInpaint", **inpaint)
    yield graph.case("sd1_inpaint_model", PICTURE)


def _two_passes() -> Iterator[Case]:
    graph = to_image(encoded(), seed=41, steps=5, cfg=7.0)
    upscale = {"upscale_method": "bislerp", "width": 96, "height": 96, "crop": "disabled"}
    graph.add("up", "LatentUpscale", samples=("ks", 0), **upscale)
    graph.add("ks2", "KSampler", **{**graph.nodes["ks"]["inputs"], "latent_image": ("up", 0), "seed": 42})
    graph.set("ks2", denoise=0.5)
    yield decode(graph, ("ks2", 0)).case("sd1_hires_fix", {"latent": ("ks2", 0), "image": ("dec", 0)})

    graph = encoded().add("lat", "EmptyLatentImage", width=64, height=64, batch_size=1)
    common = {
        "model": ("ckpt", 0), "noise_seed": 77, "steps": 8, "cfg": 7.0, "sampler_name": "dpmpp_2m",
        "scheduler": "karras", "positive": ("pos", 0), "negative": ("neg", 0),
    }  # fmt: skip
    first = {"add_noise": "enable", "start_at_step": 0, "end_at_step": 4, "return_with_leftover_noise": "enable"}
    last = {"add_noise": "disable", "start_at_step": 4, "end_at_step": 10000, "return_with_leftover_noise": "disable"}
    graph.add("ks1", "KSamplerAdvanced", **common, **first, latent_image=("lat", 0))
    graph.add("ks", "KSamplerAdvanced", **common, **last, latent_image=("ks1", 0))
    yield show(decode(graph), ("dec", 0)).case("sd1_two_stage", PICTURE)


def _two_prompts() -> Iterator[Case]:
    graph = to_image(encoded(), size=(128, 128), seed=61, steps=5, cfg=7.0)
    _second_prompt(graph)
    area = {"width": 64, "height": 64, "x": 32, "y": 64, "strength": 1.0}
    graph.add("area", "ConditioningSetArea", conditioning=("pos2", 0), **area)
    graph.add("comb", "ConditioningCombine", conditioning_1=("pos", 0), conditioning_2=("area", 0))
    yield graph.set("ks", positive=("comb", 0)).case("sd1_area_combine", PICTURE)

    graph = to_image(encoded(), seed=62, steps=5, cfg=7.0)
    _second_prompt(graph)
    average = {"conditioning_to": ("pos", 0), "conditioning_from": ("pos2", 0), "conditioning_to_strength": 0.3}
    graph.add("avg", "ConditioningAverage", **average)
    yield graph.set("ks", positive=("avg", 0)).case("sd1_average", PICTURE)


def _second_prompt(graph: Graph) -> None:
    graph.add("pos2", "CLIPTextEncode", text="a green field", clip=("ckpt", 1))


def _custom_sampler() -> Case:
    graph = encoded().add("lat", "EmptyLatentImage", width=64, height=64, batch_size=1)
    graph.add("noise", "RandomNoise", noise_seed=5)
    graph.add("guider", "CFGGuider", model=("ckpt", 0), positive=("pos", 0), negative=("neg", 0), cfg=5.0)
    graph.add("samp", "KSamplerSelect", sampler_name="euler")
    graph.add("sig", "BasicScheduler", model=("ckpt", 0), scheduler="karras", steps=6, denoise=1.0)
    parts: dict[str, Link] = {
        "noise": ("noise", 0), "guider": ("guider", 0), "sampler": ("samp", 0), "sigmas": ("sig", 0),
    }  # fmt: skip
    graph.add("ks", "SamplerCustomAdvanced", **parts, latent_image=("lat", 0))
    return show(decode(graph), ("dec", 0)).case("sd1_custom_advanced", PICTURE)
