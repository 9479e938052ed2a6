from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.diffusion.conditioning import Canvas, Conditioning
from runtime.diffusion.guidance import BasicGuider, CFGGuider, rescaled_guidance

LATENT = torch.zeros(1, 4, 8, 8)
CANVAS = Canvas(noise=LATENT, latent=LATENT, noise_mask=None)
SIGMA = torch.tensor(2.0)


def saying(value: float, **options: Any) -> Conditioning:
    return [[torch.full((1, 77, 8), value), options]]


def only(seen: Tensor) -> float:
    (value,) = set(seen.flatten().tolist())
    return float(value)


@pytest.mark.parametrize(("cfg", "expected"), [(0.0, 2.0), (1.0, 5.0), (3.0, 11.0)])
def test_guidance_goes_from_the_negative_past_the_positive(echo_model: Any, cfg: float, expected: float) -> None:
    denoiser = CFGGuider(echo_model(), saying(5.0), saying(2.0), cfg).denoiser(CANVAS)
    assert only(denoiser(LATENT, SIGMA)) == expected


@pytest.mark.parametrize(("cfg", "rows"), [(1.0, 1), (1.5, 2)], ids=["of 1", "above 1"])
def test_the_negative_is_evaluated_only_where_guidance_needs_it(echo_model: Any, cfg: float, rows: int) -> None:
    model = echo_model()
    CFGGuider(model, saying(5.0), saying(2.0), cfg).denoiser(CANVAS)(LATENT, SIGMA)
    assert [len(call.x) for call in model.calls] == [rows]


def test_a_sampler_that_needs_the_negative_gets_it_also_at_a_cfg_of_1(echo_model: Any) -> None:
    denoised, negative = (
        CFGGuider(echo_model(), saying(5.0), saying(2.0), 1.0).denoiser(CANVAS).with_negative(LATENT, SIGMA)
    )
    assert (only(denoised), only(negative)) == (5.0, 2.0)


def test_a_basic_guider_has_no_negative(echo_model: Any) -> None:
    denoiser = BasicGuider(echo_model(), saying(5.0)).denoiser(CANVAS)
    denoised, negative = denoiser.with_negative(LATENT, SIGMA)
    assert (only(denoiser(LATENT, SIGMA)), only(denoised), only(negative)) == (5.0, 5.0, 0.0)


def test_an_area_of_one_side_is_seen_by_the_other_too(echo_model: Any) -> None:
    model = echo_model()
    positive = [*saying(5.0), *saying(7.0, area=(4, 4, 0, 0))]
    CFGGuider(model, positive, saying(2.0), 3.0).denoiser(CANVAS)(LATENT, SIGMA)
    assert sorted((len(call.x), tuple(call.x.shape[2:])) for call in model.calls) == [(2, (4, 4)), (2, (8, 8))]


def test_a_prompt_may_replace_another_on_the_way(echo_model: Any) -> None:
    model = echo_model()
    positive = [*saying(5.0, end_percent=0.5), *saying(7.0, start_percent=0.5)]
    denoiser = BasicGuider(model, positive).denoiser(CANVAS)
    middle = model.prediction.percent_to_sigma(0.5)
    assert [only(denoiser(LATENT, torch.tensor(middle * share))) for share in (2.0, 1.0, 0.5)] == [5.0, 6.0, 7.0]


def test_rescaled_guidance_by_no_share_is_plain_guidance() -> None:
    x, positive, negative = torch.randn(3, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    plain = negative + (positive - negative) * 7.0
    got = rescaled_guidance(x, SIGMA, positive, negative, cfg=7.0, share=0.0)
    torch.testing.assert_close(got, plain, rtol=1e-4, atol=1e-4)


def test_rescaled_guidance_in_full_deviates_as_the_positive_prompt_does() -> None:
    x, positive, negative = torch.randn(3, 1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    got = rescaled_guidance(x, SIGMA, positive, negative, cfg=7.0, share=1.0)
    base = x / (SIGMA**2 + 1)
    torch.testing.assert_close((base - got).std(), (base - positive).std())


def test_a_model_with_rescaled_guidance_is_guided_so(echo_model: Any) -> None:
    model = replace(echo_model(), cfg_rescale=0.5)
    x = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(0))
    denoised, negative = CFGGuider(model, saying(5.0), saying(2.0), 3.0).denoiser(CANVAS).with_negative(x, SIGMA)
    expected = rescaled_guidance(x, SIGMA, torch.full_like(x, 5.0), negative, cfg=3.0, share=0.5)
    torch.testing.assert_close(denoised, expected)
