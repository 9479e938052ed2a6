from __future__ import annotations

import torch
from torch import Tensor

from runtime.diffusion.guidance import rescaled_guidance

SIGMA = torch.tensor(3.0)


def _random(seed: int) -> Tensor:
    return torch.randn(2, 4, 6, 8, generator=torch.Generator().manual_seed(seed))


def _v(x: Tensor, x0: Tensor) -> Tensor:
    return (x / (SIGMA**2 + 1) - x0) * (SIGMA**2 + 1) ** 0.5 / SIGMA


def test_no_share_is_plain_guidance() -> None:
    x, positive, negative = _random(0), _random(1), _random(2)
    plain = negative + (positive - negative) * 5.0
    torch.testing.assert_close(rescaled_guidance(x, SIGMA, positive, negative, cfg=5.0, share=0.0), plain)


def test_the_whole_share_has_the_deviation_of_the_positive_prompt() -> None:
    x, positive, negative = _random(0), _random(1), _random(2)
    guided = rescaled_guidance(x, SIGMA, positive, negative, cfg=5.0, share=1.0)
    torch.testing.assert_close(_v(x, guided).std(dim=(1, 2, 3)), _v(x, positive).std(dim=(1, 2, 3)))


def test_guidance_by_the_positive_prompt_alone_needs_no_rescaling() -> None:
    x, positive, negative = _random(0), _random(1), _random(2)
    torch.testing.assert_close(rescaled_guidance(x, SIGMA, positive, negative, cfg=1.0, share=1.0), positive)
