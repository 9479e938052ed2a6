"""The diffusion model as samplers use it: a noisy latent in, the clean one out."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from runtime.diffusion.embedding import sinusoids
from runtime.diffusion.family import AdmLayout, Family
from runtime.diffusion.layers import size_bytes
from runtime.diffusion.lora import Lora
from runtime.diffusion.lora_names import unet_layers
from runtime.diffusion.lora_stack import LoraStack
from runtime.diffusion.moving import moved
from runtime.diffusion.prediction import Prediction
from runtime.diffusion.unet import Residuals, UNet

_SIZE_CHANNELS = 256  # the sinusoids of one number in the vector `y`


@dataclass(frozen=True, kw_only=True)
class DiffusionModel:
    """A UNet with what its output means. Clones share the weights, so that a node can hand on a changed one.

    The UNet runs on `device` in `dtype`; what goes in and comes out is float32. `latent` here is the space that the
    UNet works in, `latent_scale` times that of the autoencoder.
    """

    unet: UNet
    family: Family
    prediction: Prediction
    device: torch.device
    dtype: torch.dtype
    cfg_rescale: float | None = None
    """How much of guided v is brought back to the deviation of the positive prompt's, 0..1; None to leave it."""
    loras: LoraStack[UNet] | None = None
    """What runs in the place of `unet`, where LoRAs are on it."""

    @property
    def latent_channels(self) -> int:
        return self.unet.spec.out_channels

    @property
    def latent_scale(self) -> float:
        return self.family.facts.latent_scale

    @property
    def size_bytes(self) -> int:
        return size_bytes(self.unet)

    def on(self, device: torch.device) -> DiffusionModel:
        """A copy on `device`, as it was loaded: without LoRAs."""
        return replace(self, unet=moved(self.unet, device), device=device, loras=None)

    def with_prediction(self, prediction: Prediction) -> DiffusionModel:
        """The same weights with another meaning of their output."""
        return replace(self, prediction=prediction)

    def with_cfg_rescale(self, share: float) -> DiffusionModel:
        """The same weights, their guidance rescaled by `share`."""
        return replace(self, cfg_rescale=share)

    def with_lora(self, lora: Lora, strength: float) -> DiffusionModel:
        """A model with the changes of `lora` added, `strength` times; it shares the weights that have none.

        A change that does not fit is left out.
        """
        stack = LoraStack(self.unet) if self.loras is None else self.loras
        return replace(self, loras=stack.with_lora(lora, self.lora_layers(), strength))

    def lora_layers(self) -> dict[str, str]:
        """The weights of the UNet by every name that a LoRA may give their layer."""
        return unet_layers(self.unet)

    def denoise(
        self,
        x: Tensor,
        sigma: Tensor,
        context: Tensor,
        *,
        y: Tensor | None = None,
        concat: Tensor | None = None,
        control: Residuals | None = None,
    ) -> Tensor:
        """The clean latent (B, C, h, w) that is seen in the noisy `x` (B, C, h, w) at the noise levels `sigma` (B,).

        `context` (B, T, D) is the prompt; `y` (B, adm channels) is what `adm` gave, for a family that reads it;
        `concat` (B, 5, h, w) the mask and the masked latent, for an inpainting model;
        `control` is what is added to what the UNet sees.
        """
        scaled = self.prediction.scale_input(x, sigma)
        if concat is not None:
            scaled = torch.cat((scaled, concat.to(scaled)), dim=1)
        unet = self.unet if self.loras is None else self.loras.module
        output = unet(
            scaled.to(self.device, self.dtype),
            self.prediction.timestep(sigma).to(self.device),
            context.to(self.device, self.dtype),
            None if y is None else y.to(self.device, self.dtype),
            control,
        )
        return self.prediction.denoised(output.to(x), sigma, x)

    def process_latent_in(self, latent: Tensor) -> Tensor:
        """From the autoencoder's space to the UNet's."""
        return latent * self.latent_scale

    def process_latent_out(self, latent: Tensor) -> Tensor:
        """From the UNet's space to the autoencoder's."""
        return latent / self.latent_scale

    def adm(
        self,
        *,
        pooled: Tensor | None,
        width: int = 768,
        height: int = 768,
        crop_w: int = 0,
        crop_h: int = 0,
        target_width: int | None = None,
        target_height: int | None = None,
        aesthetic_score: float = 6.0,
    ) -> Tensor | None:
        """The vector `y` (B, adm channels) of SDXL: the pooled prompt (B, P), then sizes in pixels; None for others.

        The original size, the crop's corner, and the target size for the base model or an aesthetic score for the
        refiner (6 is usual for the positive prompt, 2.5 for the negative).
        SDXL: improving latent diffusion models (Podell et al. 2023, arXiv:2307.01952), section 2.2.
        """
        layout, channels = self.family.facts.adm, self.unet.spec.adm_channels
        if layout is AdmLayout.NONE or channels is None:
            return None
        numbers: list[float] = [height, width, crop_h, crop_w]
        if layout is AdmLayout.SIZE_CROP_SCORE:
            numbers += [aesthetic_score]
        else:
            numbers += [
                height if target_height is None else target_height,
                width if target_width is None else target_width,
            ]
        sizes = sinusoids(torch.tensor(numbers, dtype=torch.float32), _SIZE_CHANNELS).flatten()
        if pooled is None:
            pooled = torch.zeros(1, channels - len(sizes))
        return torch.cat((pooled.float().cpu(), sizes.expand(len(pooled), -1)), dim=1).to(self.device)
