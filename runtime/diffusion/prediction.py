"""From what a UNet predicts to the clean latent, over the discrete noise levels that it was trained on.

Noise levels are sigmas in the variance-exploding convention, x = x0 + sigma * noise, so that a network trained on
sqrt(alpha) * x0 + sqrt(1 - alpha) * noise sees x / sqrt(sigma^2 + 1) (Karras et al. 2022, arXiv:2206.00364, table 1).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import NamedTuple

import torch
from torch import Tensor

TRAIN_STEPS = 1000
_BETA_START, _BETA_END = 0.00085, 0.012
_DISTILLED_STEPS = 50
# What alpha at the last step becomes instead of zero, so that its sigma is finite.
_LAST_ALPHA = 4.8973451890853435e-08
_BEFORE_ALL_NOISE = 999999999.9


class Parameterization(Enum):
    """What the network's output stands for."""

    EPS = "eps"  # the noise (Ho et al. 2020, arXiv:2006.11239)
    V = "v_prediction"  # sqrt(alpha) * noise - sqrt(1 - alpha) * x0 (Salimans and Ho 2022, arXiv:2202.00512)
    X0 = "x0"  # the clean latent
    IMG_TO_IMG = "img_to_img"  # the clean latent, from a latent that is read as it is
    LCM = "lcm"  # the noise, under a consistency model's boundary condition (Luo et al. 2023, arXiv:2310.04378)


class _Levels(NamedTuple):
    sigmas: Tensor  # (T,) float32, ascending
    log_sigmas: Tensor  # (T,) float32


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """A discrete noise schedule and the formulae that go with a parameterization.

    A sigma is a float32 tensor: (B,) beside a latent (B, C, h, w), or one element for the whole batch.
    `zero_terminal_snr` shifts the schedule so that the last step is noise alone (Lin et al. 2023, arXiv:2305.08891).
    """

    parameterization: Parameterization = Parameterization.EPS
    zero_terminal_snr: bool = False

    @property
    def sigmas(self) -> Tensor:
        """The noise levels of training, (T,) float32, ascending, on the CPU."""
        return self._levels(torch.device("cpu")).sigmas

    @property
    def sigma_min(self) -> Tensor:
        return self.sigmas[0]

    @property
    def sigma_max(self) -> Tensor:
        return self.sigmas[-1]

    def timestep(self, sigma: Tensor) -> Tensor:
        """The training step nearest to `sigma` in log space, int64 of its shape."""
        log_sigmas = self._levels(sigma.device).log_sigmas
        nearest = (sigma.log() - log_sigmas[:, None]).abs().argmin(dim=0).view(sigma.shape)
        return nearest * self._stride + (self._stride - 1)

    def sigma(self, timestep: Tensor) -> Tensor:
        """The noise level at a step that may be fractional, between its neighbours in log space."""
        log_sigmas = self._levels(timestep.device).log_sigmas
        position = (timestep.float() - (self._stride - 1)) / self._stride
        position = position.clamp(min=0, max=len(log_sigmas) - 1)
        low, high, weight = position.floor().long(), position.ceil().long(), position.frac()
        return ((1 - weight) * log_sigmas[low] + weight * log_sigmas[high]).exp()

    def percent_to_sigma(self, percent: float) -> float:
        """The noise level at a share of the way from noise (0) to picture (1)."""
        if percent <= 0.0:
            return _BEFORE_ALL_NOISE
        if percent >= 1.0:
            return 0.0
        return self.sigma(torch.tensor((1.0 - percent) * 999.0)).item()

    def scale_input(self, x: Tensor, sigma: Tensor) -> Tensor:
        """What the network reads: x brought to unit variance."""
        if self.parameterization is Parameterization.IMG_TO_IMG:
            return x
        return x / (_beside(sigma, x) ** 2 + 1.0) ** 0.5

    def denoised(self, output: Tensor, sigma: Tensor, x: Tensor) -> Tensor:
        """The clean latent that `output`, the network's answer at noise level `sigma`, stands for. All (B, C, h, w)."""
        if self.parameterization in (Parameterization.X0, Parameterization.IMG_TO_IMG):
            return output
        if self.parameterization is Parameterization.LCM:
            return self._consistent(output, sigma, x)
        level = _beside(sigma, output)
        if self.parameterization is Parameterization.EPS:
            return x - output * level
        return x / (level**2 + 1.0) - output * level / (level**2 + 1.0) ** 0.5

    def noise_scaling(self, sigma: Tensor, noise: Tensor, latent: Tensor, max_denoise: bool = False) -> Tensor:
        """Where sampling starts: `latent` under `noise`; `max_denoise` where it starts from noise alone."""
        level = _beside(sigma, noise)
        scale = torch.sqrt(1.0 + level**2) if max_denoise else level
        return noise * scale + latent

    def inverse_noise_scaling(self, sigma: Tensor, latent: Tensor) -> Tensor:
        """The latent that sampling hands out; in this convention what the last step gave."""
        return latent

    def _consistent(self, output: Tensor, sigma: Tensor, x: Tensor) -> Tensor:
        sigma_data, timestep_scale = 0.5, 10.0
        level = _beside(sigma, output)
        t = _beside(self.timestep(sigma), output) * timestep_scale
        c_skip = sigma_data**2 / (t**2 + sigma_data**2)
        c_out = t / (t**2 + sigma_data**2) ** 0.5
        return c_out * (x - output * level) + c_skip * x

    @property
    def _stride(self) -> int:
        """Training steps from one level to the next: a distilled model knows every twentieth."""
        return TRAIN_STEPS // _DISTILLED_STEPS if self.parameterization is Parameterization.LCM else 1

    def _levels(self, device: torch.device) -> _Levels:
        return _noise_levels(self.zero_terminal_snr, self._stride, device)


def _beside(values: Tensor, latent: Tensor) -> Tensor:
    """(B,) as (B, 1, 1, 1) beside (B, C, h, w); one element as a scalar."""
    if values.numel() == 1:
        return values.view(())
    return values.view(values.shape[:1] + (1,) * (latent.ndim - 1))


@lru_cache(maxsize=16)
def _noise_levels(zero_terminal_snr: bool, stride: int, device: torch.device) -> _Levels:
    betas = torch.linspace(_BETA_START**0.5, _BETA_END**0.5, TRAIN_STEPS, dtype=torch.float64) ** 2
    alphas = torch.cumprod(1.0 - betas, dim=0)
    sigmas = ((1 - alphas) / alphas) ** 0.5
    if zero_terminal_snr:
        sigmas = _with_zero_terminal_snr(sigmas)
    if stride == 1:
        return _Levels(sigmas.float().to(device), sigmas.log().float().to(device))
    sigmas = sigmas.float()[stride - 1 :: stride]
    return _Levels(sigmas.to(device), sigmas.log().to(device))


def _with_zero_terminal_snr(sigmas: Tensor) -> Tensor:
    """`sigmas` (T,) float64 with sqrt(alpha) shifted to 0 at the last step and scaled to its old value at the first."""
    root = (1 / (sigmas * sigmas + 1)).sqrt()
    first, last = root[0], root[-1]
    alphas = ((root - last) * (first / (first - last))) ** 2
    alphas[-1] = _LAST_ALPHA
    return ((1 - alphas) / alphas) ** 0.5
