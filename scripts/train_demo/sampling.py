"""Pictures from a denoiser in training, for its sample sheets."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from runtime.diffusion.clip import ClipText
from runtime.diffusion.family import Family
from runtime.diffusion.kl import KL
from runtime.diffusion.prediction import Prediction
from runtime.diffusion.schedules import scheduler_sigmas
from runtime.diffusion.unet import UNet
from scripts.train_demo.language import context as context_of
from scripts.train_demo.networks import LATENT_CHANNELS
from scripts.train_demo.vocabulary import Vocabulary

_STEPS = 16
_PLACES = 16  # of the latent, along each side
_GUIDANCE = 3.0


@torch.no_grad()
def draw_pictures(
    unet: UNet,
    text: ClipText,
    autoencoder: KL,
    vocabulary: Vocabulary,
    prompts: Sequence[str],
    *,
    seed: int,
    device: torch.device,
) -> Tensor:
    """(B, 3, H, W) in -1..1: a picture of each prompt, by DPM-Solver++(2M) (Lu et al. 2022, arXiv:2211.01095)."""
    prediction = Prediction()
    sigmas = scheduler_sigmas(prediction, "karras", _STEPS)
    rows = torch.tensor([vocabulary.rows(prompt) for prompt in (*prompts, "")], device=device)
    context = context_of(text, rows)
    both = torch.cat((context[:-1], context[-1:].expand(len(prompts), -1, -1)))
    noise = torch.randn(
        (len(prompts), LATENT_CHANNELS, _PLACES, _PLACES), generator=torch.Generator().manual_seed(seed)
    ).to(device)
    x, before = noise * sigmas[0], None
    for index, sigma in enumerate(sigmas[:-1]):
        scaled = prediction.scale_input(x, sigma).repeat(2, 1, 1, 1)
        output = unet(scaled, prediction.timestep(sigma[None]).expand(len(scaled)).to(device), both)
        wanted, empty = prediction.denoised(output, sigma, x.repeat(2, 1, 1, 1)).chunk(2)
        clean = empty + _GUIDANCE * (wanted - empty)
        x = _step(x, clean, before, sigmas, index)
        before = clean
    return autoencoder.decode(x / Family.SD1.facts.latent_scale)


def _step(x: Tensor, clean: Tensor, before: Tensor | None, sigmas: Tensor, index: int) -> Tensor:
    sigma, following = sigmas[index], sigmas[index + 1]
    if following == 0:
        return clean
    if before is not None:
        ratio = (sigmas[index - 1] / sigma).log() / (sigma / following).log()
        clean = clean + (clean - before) / (2.0 * ratio)
    return x * (following / sigma) + clean * (1.0 - following / sigma)
