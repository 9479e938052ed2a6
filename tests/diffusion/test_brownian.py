import math

import pytest
import torch
from torch import Tensor

from runtime.diffusion.brownian import BrownianNoise

SIGMAS = torch.tensor([14.6146402, 6.0, 2.0, 0.5, 0.0291671, 0.0])
LATENT = torch.zeros(1, 4, 64, 64)


def increment(noise: BrownianNoise, sigma: float, sigma_next: float) -> Tensor:
    return noise(torch.tensor(sigma), torch.tensor(sigma_next)) * math.sqrt(abs(sigma_next - sigma))


def test_two_small_steps_make_one_large_step() -> None:
    noise = BrownianNoise(LATENT, SIGMAS, seed=3)
    together = increment(noise, 6.0, 2.0) + increment(noise, 2.0, 0.5)
    torch.testing.assert_close(together, increment(noise, 6.0, 0.5), rtol=1e-4, atol=1e-4)


def test_noise_does_not_depend_on_what_was_asked_before() -> None:
    one, other = BrownianNoise(LATENT, SIGMAS, seed=3), BrownianNoise(LATENT, SIGMAS, seed=3)
    increment(one, 14.0, 3.0)
    torch.testing.assert_close(increment(one, 6.0, 2.0), increment(other, 6.0, 2.0), rtol=1e-3, atol=1e-3)


def test_noise_is_standard_normal() -> None:
    noise = BrownianNoise(LATENT, SIGMAS, seed=3)(SIGMAS[1], SIGMAS[2])
    assert abs(float(noise.mean())) < 0.03
    assert abs(float(noise.std()) - 1) < 0.03


def test_back_and_forth_cancel() -> None:
    noise = BrownianNoise(LATENT, SIGMAS, seed=3)
    assert torch.equal(noise(SIGMAS[1], SIGMAS[2]), -noise(SIGMAS[2], SIGMAS[1]))


@pytest.mark.parametrize(("sigma", "sigma_next"), [(14.6146402, 6.0), (0.5, 0.0291671)], ids=["top", "bottom"])
def test_the_ends_of_the_path_can_be_asked_for_without_a_warning(sigma: float, sigma_next: float) -> None:
    noise = BrownianNoise(LATENT, SIGMAS, seed=3)
    assert torch.isfinite(noise(torch.tensor(sigma), torch.tensor(sigma_next))).all()


def test_another_seed_gives_other_noise() -> None:
    one, other = BrownianNoise(LATENT, SIGMAS, seed=3), BrownianNoise(LATENT, SIGMAS, seed=4, on_cpu=False)
    assert not torch.equal(one(SIGMAS[1], SIGMAS[2]), other(SIGMAS[1], SIGMAS[2]))
