"""Every scheduler of KSampler, as sigmas on each noise schedule and as pictures; and the nodes about sigmas."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.parity.case_file import Case, Link
from scripts.parity.graph import consume_sigmas, encoded, to_latent

SCHEDULERS = (
    "simple", "sgm_uniform", "karras", "exponential", "ddim_uniform", "beta", "normal", "linear_quadratic",
    "kl_optimal",
)  # fmt: skip
# Steps and denoise of the schedules kept; a step count that does not divide 1000 is where indices are rounded.
SCHEDULES = ((1, 1.0), (2, 1.0), (7, 1.0), (20, 1.0), (5, 0.4), (3, 0.0))
LATENT: dict[str, Link] = {"latent": ("ks", 0)}


def cases() -> Iterator[Case]:
    """Sigmas first, which cost nothing, then a few steps with each scheduler where it matters."""
    for checkpoint in ("sd1_mini", "sdxl_ztsnr_mini", "sd2_v_mini"):
        for scheduler in SCHEDULERS:
            yield _sigmas(checkpoint, scheduler)
    for checkpoint, schedulers in (
        ("sd1_mini", ("linear_quadratic", "kl_optimal")),
        ("sdxl_mini", ("normal", "sgm_uniform", "ddim_uniform", "karras")),
        ("sdxl_v_mini", ("normal", "sgm_uniform", "karras")),
        ("sdxl_ztsnr_mini", ("sgm_uniform", "ddim_uniform", "karras", "simple")),
        ("sd2_v_mini", ("normal", "sgm_uniform", "ddim_uniform", "karras")),
    ):
        for scheduler in schedulers:
            graph = to_latent(encoded(checkpoint), seed=99, steps=3, scheduler=scheduler)
            yield graph.case(f"{checkpoint.removesuffix('_mini')}_scheduler_{scheduler}", LATENT)
    yield from _penultimate_discarded()
    yield _karras_node()
    yield _split()


def _sigmas(checkpoint: str, scheduler: str) -> Case:
    graph = encoded(checkpoint, positive="", negative="")
    capture: dict[str, Link] = {}
    for steps, denoise in SCHEDULES:
        if (scheduler, steps) == ("kl_optimal", 1):
            continue  # 0 / 0: ComfyUI's one sigma is not a number
        node_id = f"sig{steps}"
        graph.add(node_id, "BasicScheduler", model=("ckpt", 0), scheduler=scheduler, steps=steps, denoise=denoise)
        capture[f"sigmas.{steps}"] = (node_id, 0)
    name = f"{checkpoint.removesuffix('_mini')}_sigmas_{scheduler}"
    return consume_sigmas(graph, *capture.values()).case(name, capture)


def _penultimate_discarded() -> Iterator[Case]:
    """KSampler drops the last sigma but one for these samplers, with every scheduler and denoise."""
    for sampler, scheduler, denoise in (
        ("dpm_2", "karras", 1.0),
        ("dpm_2_ancestral", "beta", 0.5),
        ("uni_pc", "sgm_uniform", 0.6),
        ("uni_pc_bh2", "exponential", 1.0),
    ):
        graph = to_latent(encoded(), steps=3, sampler_name=sampler, scheduler=scheduler, denoise=denoise)
        yield graph.case(f"sd1_{sampler}_{scheduler}", LATENT)


def _karras_node() -> Case:
    graph = encoded(positive="", negative="")
    ranges = {"usual": (5, 14.614642, 0.0291675, 7.0), "steep": (4, 80.0, 0.002, 1.5), "single": (1, 10.0, 0.5, 7.0)}
    capture: dict[str, Link] = {}
    for name, (steps, sigma_max, sigma_min, rho) in ranges.items():
        graph.add(name, "KarrasScheduler", steps=steps, sigma_max=sigma_max, sigma_min=sigma_min, rho=rho)
        capture[f"sigmas.{name}"] = (name, 0)
    return consume_sigmas(graph, *capture.values()).case("karras_scheduler", capture)


def _split() -> Case:
    graph = encoded(positive="", negative="")
    graph.add("sig", "BasicScheduler", model=("ckpt", 0), scheduler="normal", steps=6, denoise=1.0)
    capture: dict[str, Link] = {}
    for step in (0, 2, 6, 100):
        graph.add(f"at{step}", "SplitSigmas", sigmas=("sig", 0), step=step)
        capture.update({f"sigmas.high{step}": (f"at{step}", 0), f"sigmas.low{step}": (f"at{step}", 1)})
    return consume_sigmas(graph, *(link for link in capture.values())).case("split_sigmas", capture)
