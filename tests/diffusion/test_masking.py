import pytest
import torch
from torch import Tensor

from runtime.diffusion.masking import MaskedDenoiser, fitted_noise_mask
from runtime.diffusion.prediction import Prediction

LATENT = torch.full((1, 4, 2, 4), 3.0)
NOISE = torch.full((1, 4, 2, 4), -1.0)


class Doubling:
    """Gives back twice what it is shown, and shows it."""

    def __call__(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.shown = x
        return x * 2

    def with_negative(self, x: Tensor, sigma: Tensor) -> tuple[Tensor, Tensor]:
        return self(x, sigma), x * 7


def masked(inner: Doubling) -> MaskedDenoiser:
    mask = torch.tensor([1.0, 1.0, 0.0, 0.25]).expand(1, 1, 2, 4)
    return MaskedDenoiser(inner=inner, prediction=Prediction(), mask=mask, latent=LATENT, noise=NOISE)


def test_outside_the_mask_the_model_sees_the_latent_under_noise_and_the_latent_comes_out() -> None:
    inner = Doubling()
    denoised = masked(inner)(torch.full((1, 4, 2, 4), 10.0), torch.tensor(2.0))
    assert inner.shown[0, 0, 0].tolist() == [10.0, 10.0, 1.0, 3.25]
    assert denoised[0, 0, 0].tolist() == [20.0, 20.0, 3.0, 3.875]


def test_the_negatives_own_view_is_left_as_it_is() -> None:
    denoised, negative = masked(Doubling()).with_negative(torch.full((1, 4, 2, 4), 10.0), torch.tensor(2.0))
    assert denoised[0, 0, 0].tolist() == [20.0, 20.0, 3.0, 3.875]
    assert negative[0, 0, 0].tolist() == [70.0, 70.0, 7.0, 22.75]


@pytest.mark.parametrize(
    ("shape", "batch"),
    [((1, 1, 16, 32), 1), ((16, 32), 2), ((2, 16, 32), 3), ((4, 1, 16, 32), 2)],
    ids=["one", "plain", "repeated", "too many"],
)
def test_a_noise_mask_is_fitted_to_the_latents_size_and_batch(shape: tuple[int, ...], batch: int) -> None:
    mask = fitted_noise_mask(torch.full(shape, 0.3), torch.zeros(batch, 4, 2, 4))
    torch.testing.assert_close(mask, torch.full((batch, 1, 2, 4), 0.3))


def test_a_noise_mask_is_not_rounded() -> None:
    mask = torch.zeros(1, 1, 1, 4)
    mask[..., 2:] = 1.0
    assert fitted_noise_mask(mask, torch.zeros(1, 4, 1, 8))[0, 0, 0].tolist() == [0, 0, 0, 0.25, 0.75, 1, 1, 1]
