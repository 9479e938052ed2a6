"""Nodes about sigmas and conditionings beyond those that most workflows use."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scripts.parity.case_file import Case, Link
from scripts.parity.graph import Graph, consume_conditioning, consume_sigmas, encoded, to_latent

RANGE = {"sigma_max": 14.614642, "sigma_min": 0.0291675}


def cases() -> Iterator[Case]:
    """Schedules from formulas, sigmas cut and turned, then conditionings."""
    yield from _schedules()
    yield _sigmas_changed()
    yield from _areas()
    yield from _refiner_text()


def _schedules() -> Iterator[Case]:
    for name, class_type, variants in (
        ("exponential", "ExponentialScheduler", [{"steps": 5, **RANGE}]),
        ("polyexponential", "PolyexponentialScheduler", [{"steps": 5, **RANGE, "rho": rho} for rho in (1.0, 2.5)]),
        ("laplace", "LaplaceScheduler", [{"steps": 5, **RANGE, "mu": mu, "beta": 0.5 + mu} for mu in (0.0, 0.3)]),
        ("vp", "VPScheduler", [{"steps": 5, "beta_d": 19.9, "beta_min": 0.1, "eps_s": eps} for eps in (0.001, 0.1)]),
        ("turbo", "SDTurboScheduler", [{"steps": n, "denoise": part} for n, part in ((1, 1.0), (4, 1.0), (2, 0.5))]),
        ("beta_sampling", "BetaSamplingScheduler", [{"steps": 6, "alpha": a, "beta": 0.6} for a in (0.6, 2.0)]),
    ):
        yield _schedule(name, class_type, variants)


def _schedule(name: str, class_type: str, variants: list[dict[str, Any]]) -> Case:
    graph = encoded(positive="", negative="")
    capture: dict[str, Link] = {}
    for index, inputs in enumerate(variants):
        model = {"model": ("ckpt", 0)} if class_type in ("SDTurboScheduler", "BetaSamplingScheduler") else {}
        graph.add(f"sig{index}", class_type, **model, **inputs)
        capture[f"sigmas.{index}"] = (f"sig{index}", 0)
    return consume_sigmas(graph, *capture.values()).case(f"{name}_scheduler", capture)


def _sigmas_changed() -> Case:
    graph = encoded(positive="", negative="")
    graph.add("sig", "BasicScheduler", model=("ckpt", 0), scheduler="karras", steps=6, denoise=1.0)
    graph.add("turned", "FlipSigmas", sigmas=("sig", 0))
    graph.add("first", "SetFirstSigma", sigmas=("sig", 0), sigma=136.0)
    capture: dict[str, Link] = {"sigmas.turned": ("turned", 0), "sigmas.first": ("first", 0)}
    for denoise in (0.3, 0.5, 1.0):
        node_id = f"at{int(denoise * 10)}"
        graph.add(node_id, "SplitSigmasDenoise", sigmas=("sig", 0), denoise=denoise)
        capture.update({f"sigmas.high_{node_id}": (node_id, 0), f"sigmas.low_{node_id}": (node_id, 1)})
    return consume_sigmas(graph, *capture.values()).case("sigmas_changed", capture)


def _areas() -> Iterator[Case]:
    for name, width, height, x, y in (("quarter", 0.5, 0.5, 0.5, 0.25), ("odd", 0.37, 1.0, 0.63, 0.0)):
        graph = _combined(size=(128, 96))
        place = {"width": width, "height": height, "x": x, "y": y, "strength": 1.2}
        graph.add("part", "ConditioningSetAreaPercentage", conditioning=("pos2", 0), **place)
        yield graph.case(f"conditioning_area_percentage_{name}", {"latent": ("ks", 0)})
    graph = _combined(size=(64, 64))
    graph.add("part", "ConditioningSetAreaStrength", conditioning=("pos2", 0), strength=0.4)
    yield graph.case("conditioning_strength", {"latent": ("ks", 0)})


def _combined(size: tuple[int, int]) -> Graph:
    """`pos` and the conditioning that the case makes of `pos2` as `part`, sampled together."""
    graph = encoded().add("pos2", "CLIPTextEncode", text="a green field", clip=("ckpt", 1))
    graph.add("out", "ConditioningCombine", conditioning_1=("pos", 0), conditioning_2=("part", 0))
    return to_latent(graph, size=size, steps=3).set("ks", positive=("out", 0))


def _refiner_text() -> Iterator[Case]:
    graph = encoded("sdxl_refiner_mini")
    sizes = {"ascore": 7.5, "width": 768, "height": 1280}
    graph.add("pos", "CLIPTextEncodeSDXLRefiner", clip=("ckpt", 1), text="a lighthouse at dusk", **sizes)
    yield to_latent(graph, steps=3).case("sdxl_refiner_text_encode", {"latent": ("ks", 0)})
    graph = encoded("sd1_mini")
    graph.add("pos", "CLIPTextEncodeSDXLRefiner", clip=("ckpt", 1), text="a lighthouse at dusk", **sizes)
    yield consume_conditioning(graph, ("pos", 0)).case("sd1_refiner_text_encode", {"conditioning": ("pos", 0)})
