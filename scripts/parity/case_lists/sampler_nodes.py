"""The nodes that give a sampler its options, and those about sigmas that go with them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.parity.case_file import Case, Link
from scripts.parity.graph import Graph, consume_sigmas, encoded

BOTH: dict[str, Link] = {"latent.output": ("ks", 0), "latent.denoised": ("ks", 1)}
NOISE = {"eta": 0.7, "s_noise": 1.1}
ADAPTIVE = {
    "order": 3, "rtol": 0.05, "atol": 0.0078, "h_init": 0.05, "pcoeff": 0.0, "icoeff": 1.0, "dcoeff": 0.0,
    "accept_safety": 0.81, "eta": 0.0, "s_noise": 1.0,
}  # fmt: skip
SA = {
    "model": ("ckpt", 0), "eta": 1.0, "sde_start_percent": 0.2, "sde_end_percent": 0.8, "s_noise": 1.0,
    "predictor_order": 3, "corrector_order": 4, "use_pece": False, "simple_order_2": False,
}  # fmt: skip
# Case -> the node and its inputs.
SAMPLERS: dict[str, tuple[str, dict[str, Any]]] = {
    "euler_ancestral": ("SamplerEulerAncestral", NOISE),
    "euler_ancestral_still": ("SamplerEulerAncestral", {"eta": 0.0, "s_noise": 1.0}),
    "euler_ancestral_cfg_pp": ("SamplerEulerAncestralCFGPP", NOISE),
    "euler_cfg_pp": ("SamplerEulerCFGpp", {"version": "regular"}),
    "euler_cfg_pp_alternative": ("SamplerEulerCFGpp", {"version": "alternative"}),
    "lms_2": ("SamplerLMS", {"order": 2}),
    "lms_6": ("SamplerLMS", {"order": 6}),
    "dpmpp_2s_ancestral": ("SamplerDPMPP_2S_Ancestral", NOISE),
    "dpmpp_sde_cpu": ("SamplerDPMPP_SDE", {**NOISE, "r": 0.4, "noise_device": "cpu"}),
    "dpmpp_sde_gpu": ("SamplerDPMPP_SDE", {**NOISE, "r": 0.6, "noise_device": "gpu"}),
    "dpmpp_2m_sde_midpoint": ("SamplerDPMPP_2M_SDE", {**NOISE, "solver_type": "midpoint", "noise_device": "cpu"}),
    "dpmpp_2m_sde_heun": ("SamplerDPMPP_2M_SDE", {**NOISE, "solver_type": "heun", "noise_device": "gpu"}),
    "dpmpp_3m_sde_cpu": ("SamplerDPMPP_3M_SDE", {**NOISE, "noise_device": "cpu"}),
    "dpmpp_3m_sde_gpu": ("SamplerDPMPP_3M_SDE", {**NOISE, "noise_device": "gpu"}),
    "dpm_adaptive": ("SamplerDPMAdaptative", {**ADAPTIVE, "rtol": 0.3, "atol": 0.05, "h_init": 0.6}),
    "dpm_adaptive_2": (
        "SamplerDPMAdaptative",
        {**ADAPTIVE, "order": 2, "rtol": 0.3, "h_init": 0.5, "pcoeff": 0.1, "icoeff": 0.8, "dcoeff": 0.1},
    ),
    "dpm_adaptive_noisy": (
        "SamplerDPMAdaptative",
        {**ADAPTIVE, "rtol": 0.4, "h_init": 0.6, "accept_safety": 0.7, "eta": 0.5, "s_noise": 1.05},
    ),
    "er_sde": ("SamplerER_SDE", {"solver_type": "ER-SDE", "max_stage": 2, "eta": 1.0, "s_noise": 0.9}),
    "er_sde_reverse_time": (
        "SamplerER_SDE",
        {"solver_type": "Reverse-time SDE", "max_stage": 3, "eta": 0.6, "s_noise": 1.0},
    ),
    "er_sde_still": ("SamplerER_SDE", {"solver_type": "Reverse-time SDE", "max_stage": 3, "eta": 0.0, "s_noise": 1.0}),
    "er_sde_ode": ("SamplerER_SDE", {"solver_type": "ODE", "max_stage": 1, "eta": 1.0, "s_noise": 1.0}),
    "sa_solver": ("SamplerSASolver", {**SA, "eta": 0.8, "sde_start_percent": 0.1, "sde_end_percent": 0.6}),
    "sa_solver_pece": ("SamplerSASolver", {**SA, "use_pece": True, "predictor_order": 2, "corrector_order": 2}),
    "sa_solver_simple": ("SamplerSASolver", {**SA, "simple_order_2": True, "predictor_order": 2, "s_noise": 0.9}),
    "lcm_upscale_same": ("SamplerLCMUpscale", {"scale_ratio": 1.0, "scale_steps": 2, "upscale_method": "area"}),
    "lcm_upscale": ("SamplerLCMUpscale", {"scale_ratio": 1.5, "scale_steps": -1, "upscale_method": "bislerp"}),
    "lcm_upscale_nearest": (
        "SamplerLCMUpscale",
        {"scale_ratio": 2.0, "scale_steps": 1, "upscale_method": "nearest-exact"},
    ),
    "lcm_upscale_bilinear": ("SamplerLCMUpscale", {"scale_ratio": 1.4, "scale_steps": 3, "upscale_method": "bilinear"}),
    "lcm_upscale_bicubic": ("SamplerLCMUpscale", {"scale_ratio": 1.2, "scale_steps": 99, "upscale_method": "bicubic"}),
    "lcm_upscale_shrinking": ("SamplerLCMUpscale", {"scale_ratio": 0.5, "scale_steps": 0, "upscale_method": "area"}),
}
ON_SDXL = ("euler_ancestral", "dpmpp_2m_sde_heun", "sa_solver", "lcm_upscale", "euler_cfg_pp_alternative")
SPACINGS = ("linear", "cosine", "sine")


def cases() -> Iterator[Case]:
    """Each sampler node with options of its own, then sigmas."""
    for name, (class_type, inputs) in SAMPLERS.items():
        yield _sampled("sd1_mini", class_type, inputs).case(f"sampler_node_{name}", BOTH)
    for name in ON_SDXL:
        yield _sampled("sdxl_mini", *SAMPLERS[name]).case(f"sampler_node_sdxl_{name}", BOTH)
    yield from _sigmas()


def _sampled(checkpoint: str, class_type: str, inputs: dict[str, Any]) -> Graph:
    graph = encoded(checkpoint).add("lat", "EmptyLatentImage", width=64, height=64, batch_size=1)
    graph.add("samp", class_type, **inputs)
    graph.add("sig", "BasicScheduler", model=("ckpt", 0), scheduler="karras", steps=4, denoise=1.0)
    graph.add(
        "ks", "SamplerCustom", model=("ckpt", 0), add_noise=True, noise_seed=21, cfg=3.5, positive=("pos", 0),
        negative=("neg", 0), sampler=("samp", 0), sigmas=("sig", 0), latent_image=("lat", 0),
    )  # fmt: skip
    return graph.add("save", "SaveLatent", samples=("ks", 0), filename_prefix="parity")


def _sigmas() -> Iterator[Case]:
    graph = encoded(positive="", negative="")
    capture: dict[str, Link] = {}
    for index, (family, steps, denoise) in enumerate(
        (("SD1", 10, 1.0), ("SDXL", 10, 0.6), ("SVD", 7, 1.0), ("SD1", 25, 0.5), ("SDXL", 4, 1.0), ("SD1", 9, 0.0))
    ):
        graph.add(f"sig{index}", "AlignYourStepsScheduler", model_type=family, steps=steps, denoise=denoise)
        capture[f"sigmas.{index}"] = (f"sig{index}", 0)
    yield consume_sigmas(graph, *capture.values()).case("align_your_steps_scheduler", capture)
    graph = encoded(positive="", negative="")
    graph.add("sig", "BasicScheduler", model=("ckpt", 0), scheduler="karras", steps=6, denoise=1.0)
    capture = {}
    for spacing, (steps, start, end) in zip(SPACINGS, ((3, -1.0, 1.0), (2, 8.0, 0.5), (5, -1.0, 0.0)), strict=True):
        ends = {"start_at_sigma": start, "end_at_sigma": end}
        graph.add(spacing, "ExtendIntermediateSigmas", sigmas=("sig", 0), steps=steps, spacing=spacing, **ends)
        capture[f"sigmas.{spacing}"] = (spacing, 0)
    yield consume_sigmas(graph, *capture.values()).case("sigmas_extended", capture)
    yield _percents()


def _percents() -> Case:
    """Numbers are executed where a node needs them: each is the first sigma of a schedule."""
    graph = encoded("sdxl_ztsnr_mini", positive="", negative="")
    graph.add("sig", "BasicScheduler", model=("ckpt", 0), scheduler="karras", steps=2, denoise=1.0)
    capture: dict[str, Link] = {}
    for index, (percent, actual) in enumerate(((0.0, False), (0.0, True), (0.37, True), (1.0, False), (1.0, True))):
        graph.add(
            f"at{index}", "SamplingPercentToSigma",
            model=("ckpt", 0), sampling_percent=percent, return_actual_sigma=actual,
        )  # fmt: skip
        graph.add(f"first{index}", "SetFirstSigma", sigmas=("sig", 0), sigma=(f"at{index}", 0))
        capture[f"value.{index}"] = (f"at{index}", 0)
    firsts: list[Link] = [(f"first{index}", 0) for index in range(len(capture))]
    return consume_sigmas(graph, *firsts).case("sampling_percent_to_sigma", capture)
