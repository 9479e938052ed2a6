"""The sampling nodes over a network that sees no noise: what they ask of runtime.diffusion, and what they report."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
import torch
from torch import Tensor

from runtime.diffusion.family import Family
from runtime.diffusion.guidance import BasicGuider, CFGGuider
from runtime.diffusion.model import DiffusionModel
from runtime.diffusion.noise import EmptyNoise, RandomNoise
from runtime.diffusion.prediction import Prediction
from runtime.diffusion.sampling import ksampler
from runtime.diffusion.unet import UNet
from runtime.errors import Cancelled

Call = Callable[..., Any]
Latent = Callable[..., dict[str, Any]]
PROMPT = [[torch.zeros(1, 77, 8), {"pooled_output": None}]]
COMMON: dict[str, Any] = {"steps": 3, "cfg": 2.0, "sampler_name": "euler", "scheduler": "normal"}
PROMPTS: dict[str, Any] = {"positive": PROMPT, "negative": PROMPT}


class HalfNoise:
    """A network that takes half of what it sees for noise."""

    spec = SimpleNamespace(out_channels=4, adm_channels=None)

    def __call__(self, x: Tensor, timestep: Tensor, context: Tensor, y: Tensor | None, control: Any = None) -> Tensor:
        return x * 0.5


@pytest.fixture
def model() -> DiffusionModel:
    unet = cast(UNet, HalfNoise())
    return DiffusionModel(
        unet=unet, family=Family.SD1, prediction=Prediction(), device=torch.device("cpu"), dtype=torch.float32
    )


def _quiet(index: int, steps: int, denoised: Tensor) -> None: ...


def test_ksampler_samples_with_what_it_is_given(call: Call, model: DiffusionModel, latent: Latent) -> None:
    (sampled,) = call("KSampler", model=model, seed=7, latent_image=latent(), denoise=0.6, **COMMON, **PROMPTS)
    expected = ksampler(model=model, seed=7, latent=latent(), denoise=0.6, on_step=_quiet, **COMMON, **PROMPTS)
    assert torch.equal(sampled["samples"], expected["samples"])


@pytest.mark.parametrize(
    ("add_noise", "leftover", "asked"),
    [
        ("enable", "disable", {"disable_noise": False, "force_full_denoise": True}),
        ("disable", "enable", {"disable_noise": True, "force_full_denoise": False}),
    ],
)
def test_ksampler_advanced_samples_a_stretch(
    add_noise: str, leftover: str, asked: dict[str, bool], call: Call, model: DiffusionModel, latent: Latent
) -> None:
    (sampled,) = call(
        "KSamplerAdvanced",
        model=model,
        add_noise=add_noise,
        noise_seed=7,
        latent_image=latent(),
        start_at_step=1,
        end_at_step=2,
        return_with_leftover_noise=leftover,
        **COMMON,
        **PROMPTS,
    )
    stretch: dict[str, Any] = {"start_step": 1, "last_step": 2, **asked}
    expected = ksampler(model=model, seed=7, latent=latent(), on_step=_quiet, **stretch, **COMMON, **PROMPTS)
    assert torch.equal(sampled["samples"], expected["samples"])


def test_every_step_is_reported_with_a_rough_picture(
    call: Call, model: DiffusionModel, latent: Latent, worker: Any
) -> None:
    call("KSampler", model=model, seed=7, latent_image=latent(6, 8), denoise=1.0, **COMMON, **PROMPTS)
    assert worker.steps == [(1, 3), (2, 3), (3, 3)]
    assert {tuple(preview.shape) for preview in worker.previews} == {(6, 8, 3)}
    assert all(preview.min() >= 0 and preview.max() <= 1 for preview in worker.previews)


def test_a_job_that_shall_end_ends_within_a_step(
    call: Call, model: DiffusionModel, latent: Latent, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cancel(done: int, total: int, preview: object = None) -> None:
        worker.steps.append((done, total))
        raise Cancelled("the job was cancelled on request")

    monkeypatch.setattr(worker, "step", cancel)
    with pytest.raises(Cancelled):
        call("KSampler", model=model, seed=7, latent_image=latent(), denoise=1.0, **COMMON, **PROMPTS)
    assert worker.steps == [(1, 3)]


def test_the_parts_put_together_sample_as_ksampler_does(call: Call, model: DiffusionModel, latent: Latent) -> None:
    (sigmas,) = call("BasicScheduler", model=model, scheduler="normal", steps=3, denoise=1.0)
    output, _ = call(
        "SamplerCustomAdvanced",
        noise=call("RandomNoise", noise_seed=7)[0],
        guider=call("CFGGuider", model=model, cfg=2.0, **PROMPTS)[0],
        sampler=call("KSamplerSelect", sampler_name="euler")[0],
        sigmas=sigmas,
        latent_image=latent(),
    )
    (expected,) = call("KSampler", model=model, seed=7, latent_image=latent(), denoise=1.0, **COMMON, **PROMPTS)
    assert torch.equal(output["samples"], expected["samples"])


@pytest.mark.parametrize("add_noise", [True, False])
def test_sampler_custom_samples_with_and_without_noise(
    add_noise: bool, call: Call, model: DiffusionModel, latent: Latent
) -> None:
    output, denoised = call(
        "SamplerCustom",
        model=model,
        add_noise=add_noise,
        noise_seed=7,
        cfg=2.0,
        sampler=call("KSamplerSelect", sampler_name="euler")[0],
        sigmas=torch.tensor([5.0, 2.0]),
        latent_image=latent(batch_index=[4]),
        **PROMPTS,
    )
    noise = RandomNoise(seed=7).generate_noise(latent(batch_index=[4])) if add_noise else 0.0
    start = latent()["samples"] * model.latent_scale + noise * 5.0
    seen = start - 5.0 * 0.5 * start / 26**0.5
    end = start + (start - seen) / 5.0 * (2.0 - 5.0)
    torch.testing.assert_close(denoised["samples"], seen / model.latent_scale, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(output["samples"], end / model.latent_scale, rtol=1e-4, atol=1e-4)
    assert output["batch_index"] == [4]


def test_guiders_hold_the_model_and_its_prompts(call: Call, model: DiffusionModel) -> None:
    assert call("BasicGuider", model=model, conditioning=PROMPT) == (BasicGuider(model, PROMPT),)
    assert call("CFGGuider", model=model, cfg=3.0, **PROMPTS) == (CFGGuider(model, PROMPT, PROMPT, 3.0),)


def test_noise_comes_from_a_seed_or_not_at_all(call: Call) -> None:
    assert call("RandomNoise", noise_seed=2**64 - 1) == (RandomNoise(seed=2**64 - 1),)
    assert call("DisableNoise") == (EmptyNoise(),)
