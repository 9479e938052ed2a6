"""Each step of a sampling reported to the worker, with a rough picture for whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from runtime.nodes.protocol import NodeContext

if TYPE_CHECKING:
    from torch import Tensor

    from runtime.diffusion.model import DiffusionModel


@dataclass(frozen=True, kw_only=True)
class LatentColours:
    """What each channel of a latent adds to red, green and blue, and the colour of an empty latent, all in 0..1."""

    weights: tuple[tuple[float, float, float], ...]
    bias: tuple[float, float, float]


# Fitted to SD 1.4's decoder: Keturn, "Decoding latents to RGB without upscaling", discuss.huggingface.co, 2022, whose
# result lies in -1..1.
SD1_COLOURS = LatentColours(
    weights=((0.149, 0.1035, 0.104), (0.0935, 0.143, 0.0865), (-0.079, 0.0945, 0.132), (-0.092, -0.1355, -0.2365)),
    bias=(0.5, 0.5, 0.5),
)
# Fitted to SDXL's decoder: Vass, "Explaining the SDXL latent space", huggingface.co/blog, 2023, in levels of 0..255.
SDXL_COLOURS = LatentColours(
    weights=(
        (60 / 255, 60 / 255, 60 / 255),
        (-60 / 255, -5 / 255, 10 / 255),
        (25 / 255, 15 / 255, -5 / 255),
        (-70 / 255, -50 / 255, -35 / 255),
    ),
    bias=(150 / 255, 140 / 255, 130 / 255),
)


def step_report(context: NodeContext, model: DiffusionModel) -> Callable[[int, int, Tensor], None]:
    """A function for samplers to call with each step's index, the number of steps and the clean latent seen in it."""
    colours = SDXL_COLOURS if model.family.value.startswith("sdxl") else SD1_COLOURS

    def report(index: int, steps: int, denoised: Tensor) -> None:
        context.step(index + 1, steps, lambda: rough_picture(denoised, colours))

    return report


def rough_picture(latent: Tensor, colours: LatentColours) -> Tensor:
    """The first of `latent` (B, 4, h, w), in the UNet's space, as a picture (h, w, 3) in 0..1."""
    weights = torch.tensor(colours.weights, device=latent.device)
    picture = latent[0].float().movedim(0, -1) @ weights + torch.tensor(colours.bias, device=latent.device)
    return picture.clamp(0, 1).cpu()
