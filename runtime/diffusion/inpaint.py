"""What an inpainting model reads beside the noisy latent: where to paint, and the picture without that part."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Mid grey as the autoencoder of SD 1.x gives it, in the UNet's space: it stands for a picture with nothing in it.
_BLANK = (0.8223, -0.6876, 0.6364, 0.1380)


def inpaint_channels(noise: Tensor, *, mask: Tensor | None, masked_latent: Tensor) -> Tensor:
    """(B, 5, h, w) for `noise` (B, 4, h, w): the mask, 1 where to paint, then the latent of the masked picture.

    `masked_latent` (b, 4, h', w') is in the UNet's space, `mask` (b, h', w') or (b, 1, h', w') in 0..1; both are
    cropped and resized to the noise, and spread over its batch. With no mask all is to be painted, on a blank.
    """
    if mask is None:
        blank = noise.new_tensor(_BLANK).view(1, 4, 1, 1).expand_as(noise)
        return torch.cat((torch.ones_like(noise[:, :1]), blank), dim=1)
    mask = mask[:, :1] if mask.ndim == 4 else mask
    mask = _fitted(mask.reshape(-1, 1, *mask.shape[-2:]), noise).round()
    return torch.cat((mask.to(noise), _fitted(masked_latent, noise).to(noise)), dim=1)


def _fitted(samples: Tensor, noise: Tensor) -> Tensor:
    """`samples` (b, c, h', w') as (B, c, h, w) of `noise`: cropped to its aspect, resized, spread over its batch."""
    height, width = noise.shape[-2:]
    if samples.shape[-2:] != noise.shape[-2:]:
        samples = F.interpolate(_cropped(samples, width / height), size=(height, width), mode="bilinear")
    return samples[_spread(len(samples), len(noise))]


def _cropped(samples: Tensor, aspect: float) -> Tensor:
    """The middle of `samples` that has the given width per height."""
    height, width = samples.shape[-2:]
    own = width / height
    x = round((width - width * (aspect / own)) / 2) if own > aspect else 0
    y = round((height - height * (own / aspect)) / 2) if own < aspect else 0
    return samples[..., y : height - y, x : width - x]


def _spread(count: int, wanted: int) -> list[int]:
    """Which of `count` samples stands for each of `wanted`, first and last kept where there are fewer of them."""
    if wanted <= 1 or count == wanted:
        return list(range(min(count, wanted)))
    if wanted < count:
        return [min(round(index * (count - 1) / (wanted - 1)), count - 1) for index in range(wanted)]
    return [min(int((index + 0.5) * count / wanted), count - 1) for index in range(wanted)]
