"""From noise to a latent: one sampling run, and ComfyUI's KSampler over whole LATENTs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from runtime.diffusion.conditioning import Canvas, Conditioning, for_batch
from runtime.diffusion.guidance import CFGGuider, Guider
from runtime.diffusion.masking import MaskedDenoiser, fitted_noise_mask
from runtime.diffusion.model import DiffusionModel
from runtime.diffusion.noise import EmptyNoise, Noise, RandomNoise, seeded_noise
from runtime.diffusion.prediction import Prediction
from runtime.diffusion.samplers.table import DROP_PENULTIMATE_SIGMA, SAMPLER_NAMES, Sampler, sampler_by_name
from runtime.diffusion.samplers.walk import Denoiser, Walk
from runtime.diffusion.schedules import SCHEDULER_NAMES, scheduler_sigmas
from runtime.errors import InvalidRequest

__all__ = [
    "SAMPLER_NAMES",
    "SCHEDULER_NAMES",
    "Sampled",
    "Sampler",
    "ksampler",
    "ksampler_sigmas",
    "sample",
    "sample_latent",
    "sampler_by_name",
    "scheduler_sigmas",
]

OnStep = Callable[[int, int, Tensor], None]
Latent = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Sampled:
    """What a run made, (B, C, h, w) float32 on the CPU in the autoencoder's space.

    `samples` is the latent at the last sigma, `denoised` the clean latent that the last step saw in it.
    """

    samples: Tensor
    denoised: Tensor


def sample(
    *,
    model: DiffusionModel,
    noise: Tensor,
    guider: Guider,
    sampler: Sampler,
    sigmas: Tensor,
    latent: Tensor,
    noise_mask: Tensor | None,
    seed: int,
    on_step: OnStep,
) -> Sampled:
    """Put `noise` on `latent`, both (B, C, h, w), as the first of `sigmas` says, and walk down to the last.

    `noise_mask` (b, 1, H, W) is 1 where the latent shall change. `seed` is for the noise between steps. After each
    step `on_step(index, steps, x0)` is called; what it raises ends the run. With no sigmas the latent comes back.
    """
    if len(sigmas) == 0:
        return Sampled(samples=latent, denoised=latent)
    with torch.no_grad():
        canvas = _canvas(model, noise, latent, noise_mask)
        sigmas = sigmas.detach().float().cpu()
        last_seen = _LastSeen(on_step, len(sigmas) - 1)
        walk = Walk(
            denoise=_denoiser(model, guider, sampler, canvas, seed),
            prediction=model.prediction,
            sigmas=sigmas,
            seed=seed,
            on_step=last_seen,
        )
        start = model.prediction.noise_scaling(
            sigmas[0], canvas.noise, canvas.latent, _starts_from_noise(model.prediction, sigmas[0])
        )
        end = model.prediction.inverse_noise_scaling(sigmas[-1], sampler.run(walk, start))
        samples = model.process_latent_out(end.float()).cpu()
        seen = last_seen.denoised
        return Sampled(samples=samples, denoised=samples if seen is None else model.process_latent_out(seen.cpu()))


def sample_latent(
    *, guider: Guider, noise: Noise, sampler: Sampler, sigmas: Tensor, latent: Latent, on_step: OnStep
) -> tuple[dict[str, Any], dict[str, Any]]:
    """SamplerCustomAdvanced whole: a LATENT sampled with what a NOISE draws, and the one that its last step saw."""
    fitted = {**latent, "samples": fit_empty_latent(guider.model, latent["samples"])}
    sampled = sample(
        model=guider.model,
        noise=noise.generate_noise(fitted),
        guider=guider,
        sampler=sampler,
        sigmas=sigmas,
        latent=fitted["samples"],
        noise_mask=latent.get("noise_mask"),
        seed=noise.seed,
        on_step=on_step,
    )
    return {**latent, "samples": sampled.samples}, {**latent, "samples": sampled.denoised}


def ksampler(
    *,
    model: DiffusionModel,
    seed: int,
    steps: int,
    cfg: float,
    sampler_name: str,
    scheduler: str,
    positive: Conditioning,
    negative: Conditioning,
    latent: Latent,
    denoise: float = 1.0,
    disable_noise: bool = False,
    start_step: int | None = None,
    last_step: int | None = None,
    force_full_denoise: bool = False,
    on_step: OnStep,
) -> dict[str, Any]:
    """KSampler and KSamplerAdvanced whole: a LATENT in, a LATENT out.

    `denoise` below 1 takes the last `steps` of a longer schedule. `start_step` and `last_step` cut a stretch out of
    it; with `force_full_denoise` a stretch that ends early goes to no noise at all. Raises InvalidRequest for an
    unknown sampler or scheduler.
    """
    sampler = sampler_by_name(sampler_name)
    sigmas = ksampler_sigmas(model.prediction, sampler_name, scheduler, steps, denoise)
    sigmas = _stretch(sigmas, start_step, last_step, force_full_denoise)
    noise = EmptyNoise(seed=seed) if disable_noise else RandomNoise(seed=seed)
    guider = CFGGuider(model, positive, negative, cfg)
    sampled, _ = sample_latent(
        guider=guider, noise=noise, sampler=sampler, sigmas=sigmas, latent=latent, on_step=on_step
    )
    return sampled


def ksampler_sigmas(
    prediction: Prediction, sampler_name: str, scheduler: str, steps: int, denoise: float = 1.0
) -> Tensor:
    """The sigmas that KSampler walks through, (steps + 1,); none where `denoise` is 0."""
    if denoise <= 0.0:
        return torch.zeros(0)
    whole = denoise > 0.9999
    total = steps if whole else int(steps / denoise)
    if sampler_name in DROP_PENULTIMATE_SIGMA:
        sigmas = scheduler_sigmas(prediction, scheduler, total + 1)
        sigmas = torch.cat([sigmas[:-2], sigmas[-1:]])
    else:
        sigmas = scheduler_sigmas(prediction, scheduler, total)
    return sigmas if whole else sigmas[-(steps + 1) :]


def _stretch(sigmas: Tensor, start_step: int | None, last_step: int | None, force_full_denoise: bool) -> Tensor:
    """The sigmas from step to step; none where the start lies at or behind the end."""
    if last_step is not None and last_step < len(sigmas) - 1:
        sigmas = sigmas[: last_step + 1].clone()
        if force_full_denoise:
            sigmas[-1] = 0
    if start_step is None:
        return sigmas
    return sigmas[start_step:] if start_step < len(sigmas) - 1 else sigmas[:0]


def fit_empty_latent(model: DiffusionModel, latent: Tensor) -> Tensor:
    """An empty latent (B, c, h, w) with the channels that `model` takes. Raises InvalidRequest for any other."""
    channels = model.latent_channels
    if latent.shape[1] == channels:
        return latent
    if torch.count_nonzero(latent) > 0:
        raise InvalidRequest(f"the latent has {latent.shape[1]} channels, the model expects {channels}")
    return for_batch(latent.transpose(0, 1), channels).transpose(0, 1)


def _canvas(model: DiffusionModel, noise: Tensor, latent: Tensor, noise_mask: Tensor | None) -> Canvas:
    """Everything on the model's device and in its space. An empty latent stays as it is: it has no scale."""
    latent = latent.to(model.device, torch.float32)
    if torch.count_nonzero(latent) > 0:
        latent = model.process_latent_in(latent)
    return Canvas(
        noise=noise.to(model.device, torch.float32),
        latent=latent,
        noise_mask=None if noise_mask is None else fitted_noise_mask(noise_mask, latent),
    )


def _denoiser(model: DiffusionModel, guider: Guider, sampler: Sampler, canvas: Canvas, seed: int) -> Denoiser:
    guided = guider.denoiser(canvas)
    if canvas.noise_mask is None:
        return guided
    noise = canvas.noise
    if sampler.redraws_masked_noise:
        noise = seeded_noise(noise.cpu(), seed + 1).to(model.device)
    return MaskedDenoiser(
        inner=guided, prediction=model.prediction, mask=canvas.noise_mask, latent=canvas.latent, noise=noise
    )


def _starts_from_noise(prediction: Prediction, sigma: Tensor) -> bool:
    """Whether the walk starts at the most noise that the model knows: then no trace of the latent's scale is left."""
    highest = float(prediction.sigma_max)
    return math.isclose(highest, float(sigma), rel_tol=1e-5) or float(sigma) > highest


class _LastSeen:
    """Hands each step's clean latent on, and keeps the last."""

    def __init__(self, on_step: OnStep, steps: int) -> None:
        self._on_step, self._steps = on_step, steps
        self.denoised: Tensor | None = None

    def __call__(self, index: int, denoised: Tensor) -> None:
        self.denoised = denoised
        self._on_step(index, self._steps, denoised)
