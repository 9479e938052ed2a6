"""The nodes that change how a model's output is read."""

from __future__ import annotations

from collections.abc import Iterator

from scripts.parity.case_file import Case
from scripts.parity.graph import encoded, to_latent

SAMPLINGS = (("eps", True), ("v_prediction", False), ("v_prediction", True), ("lcm", False), ("x0", False))


def cases() -> Iterator[Case]:
    """Each way to read a model, the zero-terminal-SNR schedule with two of them, and rescaled guidance."""
    for sampling, zsnr in (*SAMPLINGS, ("img_to_img", False)):
        graph = encoded().add("read", "ModelSamplingDiscrete", model=("ckpt", 0), sampling=sampling, zsnr=zsnr)
        sampler = "lcm" if sampling == "lcm" else "euler"
        graph = to_latent(graph, model=("read", 0), steps=3, sampler_name=sampler, scheduler="simple")
        name = f"model_sampling_{sampling}{'_zsnr' if zsnr else ''}"
        yield graph.case(name, {"latent": ("ks", 0)})
    for share in (0.7, 0.0):
        graph = encoded("sdxl_v_mini").add("read", "RescaleCFG", model=("ckpt", 0), multiplier=share)
        graph = to_latent(graph, model=("read", 0), steps=3, cfg=7.0, batch=2)
        yield graph.case(f"rescale_cfg_{share:g}", {"latent": ("ks", 0)})
