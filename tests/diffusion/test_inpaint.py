from __future__ import annotations

import pytest
import torch
from torch import Tensor

from runtime.diffusion.inpaint import inpaint_channels


@pytest.fixture
def noise() -> Tensor:
    return torch.randn(2, 4, 6, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def masked() -> Tensor:
    return torch.randn(2, 4, 6, 8, generator=torch.Generator().manual_seed(1))


def test_the_mask_stands_before_the_masked_latent(noise: Tensor, masked: Tensor) -> None:
    mask = (torch.rand(2, 1, 6, 8) > 0.5).float()
    channels = inpaint_channels(noise, mask=mask, masked_latent=masked)
    assert torch.equal(channels, torch.cat((mask, masked), dim=1))


def test_a_mask_is_rounded_to_paint_or_keep(noise: Tensor, masked: Tensor) -> None:
    mask = torch.full((2, 6, 8), 0.4)
    mask[:, :3] = 0.6
    channels = inpaint_channels(noise, mask=mask, masked_latent=masked)
    assert bool((channels[:, 0, :3] == 1).all())
    assert bool((channels[:, 0, 3:] == 0).all())


def test_of_a_mask_with_many_channels_the_first_counts(noise: Tensor, masked: Tensor) -> None:
    mask = torch.zeros(2, 4, 6, 8)
    mask[:, 0] = 1
    assert bool((inpaint_channels(noise, mask=mask, masked_latent=masked)[:, 0] == 1).all())


def test_without_a_mask_everything_is_painted_on_grey(noise: Tensor, masked: Tensor) -> None:
    channels = inpaint_channels(noise, mask=None, masked_latent=masked)
    assert bool((channels[:, 0] == 1).all())
    assert channels[1, 1:, 2, 3].tolist() == pytest.approx([0.8223, -0.6876, 0.6364, 0.1380])


def test_another_size_is_cropped_to_the_aspect_and_resized(noise: Tensor) -> None:
    """A picture twice as wide loses a quarter at each side."""
    wide = torch.zeros(1, 4, 12, 32)
    wide[..., 8:24] = 1
    channels = inpaint_channels(noise, mask=torch.ones(1, 12, 16), masked_latent=wide)
    assert channels.shape == (2, 5, 6, 8)
    assert bool((channels[:, 1:] == 1).all())


@pytest.mark.parametrize(
    ("count", "chosen"),
    [(1, [0, 0, 0, 0]), (2, [0, 0, 1, 1]), (3, [0, 1, 1, 2]), (4, [0, 1, 2, 3]), (7, [0, 2, 4, 6])],
)
def test_a_batch_of_another_size_is_spread_over_the_noise(count: int, chosen: list[int]) -> None:
    masked = torch.arange(count, dtype=torch.float32).view(-1, 1, 1, 1).expand(count, 4, 6, 8)
    channels = inpaint_channels(torch.zeros(4, 4, 6, 8), mask=torch.ones(1, 6, 8), masked_latent=masked)
    assert channels[:, 1, 0, 0].tolist() == chosen
