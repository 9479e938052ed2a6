"""The third stage: a UNet that learns to take noise off latents, as the prompt says.

Denoising diffusion probabilistic models (Ho et al. 2020, arXiv:2006.11239), conditioned on text that is sometimes left
out (Ho and Salimans 2022, arXiv:2207.12598), the loss weighted by the signal's share (Hang et al. 2023,
arXiv:2303.09556).
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from runtime.diffusion.clip import ClipText
from runtime.diffusion.family import Family
from runtime.diffusion.kl import KL
from runtime.diffusion.prediction import TRAIN_STEPS, Prediction
from runtime.diffusion.unet import UNet
from scripts.train_demo import networks, render, sheet
from scripts.train_demo.language import context
from scripts.train_demo.prompts import any_prompt
from scripts.train_demo.sampling import draw_pictures
from scripts.train_demo.training import Draw, Recipe, Training, part_threads
from scripts.train_demo.vocabulary import Vocabulary
from scripts.train_demo.world import Scene, random_scene

_LARGEST_WEIGHT = 5.0  # gamma of the paper: what a step's signal to noise ratio counts at most
_ENCODED_AT_ONCE = 8
_TOWARD_NOISE = 0.8
_EXAMPLES_IN_A_PART = 8

SHEET_PROMPTS = (
    "a red circle on a blue background",
    "a large yellow star on a black background",
    "a small white heart in the top left corner on a red background",
    "a green square at the bottom on an orange background",
    "a purple ring on a white background",
    "an orange triangle on a green background",
    "a green star to the left of a yellow square on a white background",
    "a red heart above a blue ring on a yellow background",
    "a white star to the right of a green circle on a purple background",
    "a black triangle below an orange ring on a white background",
    "a blue circle",
    "",
)


class Examples:
    """Scenes and their latents in the UNet's space, encoded once and kept in `folder`."""

    def __init__(self, autoencoder: KL, *, count: int, folder: Path, seed: int, device: torch.device) -> None:
        self.scenes: Sequence[Scene] = [
            random_scene(random.Random(f"{seed}/example/{index}"), held_out=False) for index in range(count)
        ]
        path = folder / "latents.pt"
        self.latents = torch.load(path, weights_only=True) if path.exists() else torch.zeros(0)
        if len(self.latents) != count:
            self.latents = _encode(autoencoder, self.scenes, device)
            torch.save(self.latents, path)


def _encode(autoencoder: KL, scenes: Sequence[Scene], device: torch.device) -> Tensor:
    """(N, 4, h, w) in the UNet's space, on the CPU."""

    def encode(start: int) -> Tensor:
        pictures = render.tensor(scenes[start : start + _ENCODED_AT_ONCE]).to(device)
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
            return autoencoder.encode(pictures).float().cpu()

    with part_threads() as pool:
        latents = list(pool.map(encode, range(0, len(scenes), _ENCODED_AT_ONCE)))
    return torch.cat(latents) * Family.SD1.facts.latent_scale


def train_denoiser(
    autoencoder: KL,
    text: ClipText,
    vocabulary: Vocabulary,
    *,
    folder: Path,
    steps: int,
    examples: int,
    seed: int,
    device: torch.device,
) -> UNet:
    """The trained UNet: the mean of its weights over the last steps."""
    unet = networks.unet(torch.Generator().manual_seed(seed + 2)).to(device)
    recipe = Recipe(name="denoiser", steps=steps, learning_rate=3e-3, averaging=0.995)
    training = Training(unet, recipe, folder=folder, seed=seed)
    if not training.is_done:
        known = Examples(autoencoder, count=examples, folder=folder, seed=seed, device=device)

        def show() -> None:
            pictures = draw_pictures(
                training.mean, text, autoencoder, vocabulary, SHEET_PROMPTS, seed=seed, device=device
            )
            sheet.save(folder / "denoiser.png", pictures, columns=6)

        training.run(lambda draw: _loss(unet, text, known, vocabulary, draw, device), sheet=show)
    return training.mean


def _loss(
    unet: UNet, text: ClipText, known: Examples, vocabulary: Vocabulary, draw: Draw, device: torch.device
) -> Tensor:
    """How far the noise that the UNet sees is from the noise that was put on some examples."""
    chosen = [draw.rng.randrange(len(known.scenes)) for _ in range(_EXAMPLES_IN_A_PART)]
    rows = torch.tensor([vocabulary.rows(any_prompt(known.scenes[index], draw.rng), draw.rng) for index in chosen])
    latents = known.latents[chosen]
    timestep = _spread_timesteps(len(chosen), draw.generator)
    sigma = Prediction().sigmas[timestep][:, None, None, None]
    noise = torch.randn(latents.shape, generator=draw.generator)
    noisy = (latents + sigma * noise) / (sigma.square() + 1.0).sqrt()
    with torch.no_grad():
        states = context(text, rows.to(device))
    with torch.autocast(device.type, torch.bfloat16):
        seen = unet(noisy.to(device), timestep.to(device), states)
    weight = (sigma.square() * _LARGEST_WEIGHT).clamp(max=1.0)
    loss: Tensor = (weight.to(device) * (seen.float() - noise.to(device)).square()).mean()
    return loss


def _spread_timesteps(batch: int, generator: torch.Generator) -> Tensor:
    """(B,) timesteps, each from a range of its own, so that a batch sees all noise levels; the low ones less often."""
    places = (torch.arange(batch) + torch.rand(batch, generator=generator)) / batch
    return (places**_TOWARD_NOISE * TRAIN_STEPS).long().clamp(max=TRAIN_STEPS - 1)
