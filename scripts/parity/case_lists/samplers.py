"""Every sampler of KSampler on `sd1_mini`, and on v-prediction families those that could behave differently there."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.parity.case_file import Case, Link
from scripts.parity.case_lists.pictures import SAMPLERS as PICTURED
from scripts.parity.graph import Graph, encoded, to_latent

SAMPLERS = (
    "euler", "euler_cfg_pp", "euler_ancestral", "euler_ancestral_cfg_pp", "heun", "heunpp2", "dpm_2",
    "dpm_2_ancestral", "lms", "dpm_fast", "dpm_adaptive", "dpmpp_2s_ancestral", "dpmpp_2s_ancestral_cfg_pp",
    "dpmpp_sde", "dpmpp_sde_gpu", "dpmpp_2m", "dpmpp_2m_cfg_pp", "dpmpp_2m_sde", "dpmpp_2m_sde_gpu",
    "dpmpp_2m_sde_heun", "dpmpp_2m_sde_heun_gpu", "dpmpp_3m_sde", "dpmpp_3m_sde_gpu", "ddpm", "lcm", "ipndm",
    "ipndm_v", "deis", "res_multistep", "res_multistep_cfg_pp", "res_multistep_ancestral",
    "res_multistep_ancestral_cfg_pp", "gradient_estimation", "gradient_estimation_cfg_pp", "er_sde", "seeds_2",
    "seeds_3", "sa_solver", "sa_solver_pece", "ddim", "uni_pc", "uni_pc_bh2",
)  # fmt: skip
# The sigmas of a zero-terminal-SNR model begin at about 4500, where a sampler's expansion may break down. Heun's and
# DPM-2's second evaluation magnifies rounding there to the size of the bound: they are left out.
FROM_PURE_NOISE = (
    "euler", "euler_ancestral", "lms", "dpmpp_2s_ancestral", "dpmpp_sde", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m_sde",
    "ddpm", "lcm", "er_sde", "seeds_2", "sa_solver", "ddim", "uni_pc", "euler_ancestral_cfg_pp",
)  # fmt: skip
MASKED = ("euler_ancestral", "dpmpp_sde", "dpmpp_2m_sde", "dpmpp_2s_ancestral", "ddim", "uni_pc", "lcm", "heun")
LATENT: dict[str, Link] = {"latent": ("ks", 0)}


def cases() -> Iterator[Case]:
    """A case for each sampler and model, and for some samplers with a schedule, a mask or a batch of its own."""
    for sampler in (name for name in SAMPLERS if name not in PICTURED):
        yield _sampled("sd1_mini", sampler)
    for sampler in FROM_PURE_NOISE:
        yield _sampled("sdxl_ztsnr_mini", sampler)
    for sampler in ("euler_ancestral", "dpmpp_2m", "dpmpp_2m_sde", "dpmpp_3m_sde", "lcm", "uni_pc_bh2"):
        yield _sampled("sd2_v_mini", sampler)
    for sampler in MASKED:
        yield _masked(sampler)
    for sampler in ("dpmpp_2m_sde", "euler_ancestral", "er_sde"):
        graph = to_latent(encoded(), batch=2, steps=3, sampler_name=sampler, scheduler="karras")
        yield graph.case(f"sd1_sampler_{sampler}_batch", LATENT)
    for sampler in ("dpmpp_sde", "ddpm", "dpmpp_3m_sde"):
        graph = to_latent(encoded(), steps=1, sampler_name=sampler)
        yield graph.case(f"sd1_sampler_{sampler}_one_step", LATENT)


def _sampled(checkpoint: str, sampler: str) -> Case:
    graph = to_latent(encoded(checkpoint), seed=1234, steps=5, sampler_name=sampler)
    if sampler == "dpm_adaptive":
        graph.set("ks", steps=2, cfg=1.0)  # it takes dozens of its own steps, down to the last sigma but one
    return graph.case(f"{checkpoint.removesuffix('_mini')}_sampler_{sampler}", LATENT)


def _masked(sampler: str) -> Case:
    graph = to_latent(encoded(), seed=8, steps=4, sampler_name=sampler, denoise=0.7, scheduler="karras")
    return masked_input(graph).case(f"sd1_sampler_{sampler}_masked", LATENT)


def masked_input(graph: Graph, image: str = "gradient_alpha.png") -> Graph:
    """Let `lat` be the encoded picture with its alpha as noise mask."""
    graph.add("img", "LoadImage", image=image)
    graph.add("enc", "VAEEncode", pixels=("img", 0), vae=("ckpt", 2))
    return graph.add("lat", "SetLatentNoiseMask", samples=("enc", 0), mask=("img", 1))
