"""Sampling under a noise mask: what lies outside it is put back at every step."""

from __future__ import annotations

from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor

from runtime.diffusion.conditioning import for_batch
from runtime.diffusion.prediction import Prediction
from runtime.diffusion.samplers.walk import Denoiser


def fitted_noise_mask(mask: Tensor, latent: Tensor) -> Tensor:
    """A LATENT's noise mask (b, 1, H, W) or (b, H, W) for `latent` (B, C, h, w): (B, 1, h, w) on its device.

    It is resized without rounding, and repeated over the batch.
    """
    mask = mask.reshape(-1, 1, *mask.shape[-2:]).to(latent)
    return for_batch(F.interpolate(mask, size=latent.shape[-2:], mode="bilinear"), len(latent))


@dataclass(frozen=True, kw_only=True)
class MaskedDenoiser:
    """Denoises where `mask` (B, 1, h, w) is 1; elsewhere the model sees `latent` under `noise`, and `latent` comes out.

    RePaint without resampling (Lugmayr et al. 2022, arXiv:2201.09865); tensors (B, C, h, w) in the UNet's space.
    """

    inner: Denoiser
    prediction: Prediction
    mask: Tensor
    latent: Tensor
    noise: Tensor

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The guided x0, (B, C, h, w)."""
        return self._restored(self.inner(self._noised(x, sigma), sigma))

    def with_negative(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """The guided x0, and the negative prompt's as the model gave it."""
        denoised, negative = self.inner.with_negative(self._noised(x, sigma), sigma)
        return self._restored(denoised), negative

    def _noised(self, x: Tensor, sigma: Tensor) -> Tensor:
        kept = self.prediction.noise_scaling(sigma, self.noise, self.latent)
        return x * self.mask + kept * (1.0 - self.mask)

    def _restored(self, denoised: Tensor) -> Tensor:
        return denoised * self.mask + self.latent * (1.0 - self.mask)
