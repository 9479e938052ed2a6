"""The first stage: an autoencoder that brings the world's pictures to latents and back."""

from __future__ import annotations

import random
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from runtime.diffusion.family import Family
from runtime.diffusion.kl import KL
from scripts.train_demo import networks, render, sheet
from scripts.train_demo.training import Draw, Recipe, Training
from scripts.train_demo.world import SIZE, random_scene

# (the share of the steps up to which it holds, pixels along a side, pictures in a part of a batch): pieces around an
# edge teach the most in the least time; what a norm over a whole picture does is learned at the end.
_DIET = ((0.8, 32, 4), (0.92, 64, 2), (1.0, SIZE, 1))
_STRIDE = 8  # pixels of a latent's place
_EDGES = 1.0  # how much a difference between neighbours counts beside one of values
_KL = 3e-4
_POLISH_FROM = 0.85  # how far into the diet the polish starts
_UNET_ERROR = 0.04  # of the latent's deviation: how much noise the polish puts on it


def train_autoencoder(*, folder: Path, steps: int, seed: int, device: torch.device) -> KL:
    """The trained autoencoder, its latents of unit variance behind the family's scale."""
    network = networks.autoencoder(torch.Generator().manual_seed(seed)).to(device)
    recipe = Recipe(name="autoencoder", steps=steps, learning_rate=2e-3, averaging=0.99)
    training = Training(network, recipe, folder=folder, seed=seed)
    training.run(
        lambda draw: _loss(network, _pieces(draw, training.step / steps).to(device), draw),
        sheet=lambda: _show(training.mean, folder / "autoencoder.png", seed, device),
    )
    scale_latents(training.mean, examples=_latent_examples(seed).to(device))
    return training.mean


def polish_decoder(network: KL, *, folder: Path, steps: int, seed: int, device: torch.device) -> KL:
    """The same with a decoder that has learned on, from latents that stay as they are and are as rough as a UNet's."""
    network.requires_grad_(False).train()
    for part in (network.decoder, network.post_quant_conv):
        assert part is not None
        part.requires_grad_(True)
    recipe = Recipe(name="decoder", steps=steps, learning_rate=1e-3, averaging=0.99)
    training = Training(network, recipe, folder=folder, seed=seed)

    def loss(draw: Draw) -> Tensor:
        pictures = _pieces(draw, _POLISH_FROM + (1.0 - _POLISH_FROM) * training.step / steps).to(device)
        with torch.autocast(device.type, torch.bfloat16):
            with torch.no_grad():
                latents = network.encode(pictures).float()
            noise = torch.randn(latents.shape, generator=draw.generator).to(latents)
            seen = network.decode(latents + _UNET_ERROR / Family.SD1.facts.latent_scale * noise).float()
        return F.l1_loss(seen, pictures) + _EDGES * _edge_loss(seen, pictures)

    training.run(loss, sheet=lambda: _show(training.mean, folder / "decoder.png", seed, device))
    return training.mean


def _show(network: KL, path: Path, seed: int, device: torch.device) -> None:
    """A sheet of held-out pictures, and below what comes back of them."""
    scenes = [random_scene(random.Random(f"{seed}/sheet/{index}"), held_out=True) for index in range(12)]
    pictures = render.tensor(scenes).to(device)
    with torch.no_grad():
        sheet.save(path, torch.cat((pictures, network.decode(network.encode(pictures)))), columns=len(scenes))


def _pieces(draw: Draw, progress: float) -> Tensor:
    """(B, 3, H, W): a piece of each of some pictures, at a step so far (0..1) into the training."""
    _, size, count = next(meal for meal in _DIET if progress < meal[0])
    scenes = [random_scene(draw.rng, held_out=False) for _ in range(count)]
    pieces = []
    for scene, picture in zip(scenes, render.tensor(scenes), strict=True):
        thing = draw.rng.choice(scene.things)
        left, top = (_corner(draw.rng, middle, thing.radius, size) for middle in (thing.x, thing.y))
        pieces.append(picture[:, top : top + size, left : left + size])
    return torch.stack(pieces)


def _corner(rng: random.Random, middle: float, radius: float, size: int) -> int:
    """Where a piece of `size` pixels starts that has most often an edge in it: at the border of a latent's place."""
    corner = round((middle - size / 2 + rng.uniform(-1.1, 1.1) * radius) / _STRIDE) * _STRIDE
    return min(max(corner, 0), SIZE - size)


def _loss(network: KL, pictures: Tensor, draw: Draw) -> Tensor:
    """The absolute difference of values and of edges, and a little of the latent's distance from unit noise."""
    with torch.autocast(pictures.device.type, torch.bfloat16):
        moments = network.encoder(pictures)
        assert network.quant_conv is not None
        mean, log_variance = network.quant_conv(moments).float().chunk(2, dim=1)
        log_variance = log_variance.clamp(-12.0, 6.0)
        noise = torch.randn(mean.shape, generator=draw.generator).to(mean)
        seen = network.decode(mean + noise * (0.5 * log_variance).exp()).float()
    distance = 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()
    return F.l1_loss(seen, pictures) + _EDGES * _edge_loss(seen, pictures) + _KL * distance


def _edge_loss(seen: Tensor, wanted: Tensor) -> Tensor:
    difference = seen - wanted
    return difference.diff(dim=2).abs().mean() + difference.diff(dim=3).abs().mean()


def _latent_examples(seed: int) -> Tensor:
    return render.tensor(random_scene(random.Random(f"{seed}/scale/{index}"), held_out=False) for index in range(256))


@torch.no_grad()
def scale_latents(network: KL, *, examples: Tensor) -> None:
    """Scale the convolutions on both sides of the latent so that it has unit variance when the UNet sees it.

    A UNet of the family reads `latent_scale` times the latent; the variance is that over `examples`. Their mean goes to
    zero in the same step.
    """
    quant, post_quant = network.quant_conv, network.post_quant_conv
    assert quant is not None
    assert post_quant is not None
    assert quant.bias is not None
    assert post_quant.bias is not None
    latents = torch.cat([network.encode(part) for part in torch.split(examples, 16)])
    mean = latents.mean(dim=(0, 2, 3))
    spread = (latents - mean[:, None, None]).square().mean().sqrt() * Family.SD1.facts.latent_scale
    channels = networks.LATENT_CHANNELS
    post_quant.bias += post_quant.weight[:, :, 0, 0] @ mean
    post_quant.weight *= spread
    quant.bias[:channels] -= mean
    quant.bias[:channels] /= spread
    quant.weight[:channels] /= spread
