"""Classifier-free guidance: what a GUIDER link carries, and the denoiser that it makes for one run."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from runtime.diffusion.batching import PromptBatches
from runtime.diffusion.conditioning import Canvas, Conditioning, prepared, with_counterparts, with_lent_controls
from runtime.diffusion.model import DiffusionModel

_POSITIVE, _NEGATIVE = 0, 1


@dataclass(frozen=True)
class BasicGuider:
    """Guidance by one prompt alone."""

    model: DiffusionModel
    conditioning: Conditioning

    def denoiser(self, canvas: Canvas) -> GuidedDenoiser:
        """The denoiser of one run over `canvas`."""
        positive = prepared(self.conditioning, model=self.model, canvas=canvas, negative=False)
        return GuidedDenoiser(PromptBatches(self.model, [positive, []], canvas.noise), cfg=1.0)


@dataclass(frozen=True)
class CFGGuider:
    """Guidance toward one prompt and away from another (Ho and Salimans 2022, arXiv:2207.12598).

    `cfg` weighs the difference: 1 is the positive prompt alone, and then the negative one is not evaluated.
    """

    model: DiffusionModel
    positive: Conditioning
    negative: Conditioning
    cfg: float

    def denoiser(self, canvas: Canvas) -> GuidedDenoiser:
        """The denoiser of one run over `canvas`."""
        positive = prepared(self.positive, model=self.model, canvas=canvas, negative=False)
        negative = prepared(self.negative, model=self.model, canvas=canvas, negative=True)
        negative = with_counterparts(negative, positive)
        positive = with_counterparts(positive, negative)
        negative = with_lent_controls(negative, positive)
        batches = PromptBatches(self.model, [positive, negative], canvas.noise)
        return GuidedDenoiser(batches, cfg=self.cfg, rescale=self.model.cfg_rescale)


Guider = BasicGuider | CFGGuider


class GuidedDenoiser:
    """The clean latent seen in a noisy one under guidance. `x` (B, C, h, w), `sigma` one float32 on the CPU."""

    def __init__(self, batches: PromptBatches, *, cfg: float, rescale: float | None = None) -> None:
        self._batches, self._cfg, self._rescale = batches, cfg, rescale

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The guided x0, (B, C, h, w)."""
        if math.isclose(self._cfg, 1.0):
            (positive,) = self._batches(x, sigma, [_POSITIVE])
            return positive
        return self.with_negative(x, sigma)[0]

    def with_negative(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        """The guided x0 and the negative prompt's own, 0 where there is none."""
        positive, negative = self._batches(x, sigma, [_POSITIVE, _NEGATIVE])
        if self._rescale is not None:
            return rescaled_guidance(x, sigma, positive, negative, cfg=self._cfg, share=self._rescale), negative
        return negative + (positive - negative) * self._cfg, negative


def rescaled_guidance(
    x: Tensor, sigma: Tensor, positive: Tensor, negative: Tensor, *, cfg: float, share: float
) -> Tensor:
    """The guided x0 (B, C, h, w), its v brought in part to the deviation that the positive prompt's v has.

    `positive` and `negative` are the x0 that each prompt sees in `x`. Guidance widens the deviation, which shows as
    too much contrast (Lin et al. 2023, arXiv:2305.08891, section 3.4).
    """
    base, scale = x / (sigma**2 + 1.0), sigma / (sigma**2 + 1.0) ** 0.5
    v_positive, v_negative = (base - positive) / scale, (base - negative) / scale
    guided = v_negative + cfg * (v_positive - v_negative)
    ratio = v_positive.std(dim=(1, 2, 3), keepdim=True) / guided.std(dim=(1, 2, 3), keepdim=True)
    return base - (share * guided * ratio + (1.0 - share) * guided) * scale
