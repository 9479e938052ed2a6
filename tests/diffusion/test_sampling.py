from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.diffusion.conditioning import Conditioning
from runtime.diffusion.guidance import BasicGuider
from runtime.diffusion.noise import EmptyNoise, RandomNoise, seeded_noise
from runtime.diffusion.prediction import Prediction
from runtime.diffusion.samplers.table import sampler_by_name
from runtime.diffusion.sampling import ksampler, ksampler_sigmas, sample, sample_latent
from runtime.diffusion.schedules import scheduler_sigmas
from runtime.errors import Cancelled, InvalidRequest

SEED = 11


def saying(value: float) -> Conditioning:
    return [[torch.full((1, 77, 8), value), {}]]


def quiet(index: int, steps: int, denoised: Tensor) -> None: ...


def run(model: Any, latent: dict[str, Any], **options: Any) -> dict[str, Any]:
    settings: dict[str, Any] = {
        "seed": SEED,
        "steps": 4,
        "cfg": 2.0,
        "sampler_name": "euler",
        "scheduler": "normal",
        "positive": saying(5.0),
        "negative": saying(2.0),
        "on_step": quiet,
    }
    return ksampler(model=model, latent=latent, **(settings | options))


def empty(batch: int = 1, channels: int = 4) -> dict[str, Any]:
    return {"samples": torch.zeros(batch, channels, 2, 2)}


def test_a_whole_walk_ends_at_what_the_guided_model_sees(echo_model: Any) -> None:
    model = echo_model()
    torch.testing.assert_close(run(model, empty())["samples"], torch.full((1, 4, 2, 2), 8.0 / model.latent_scale))


def test_the_other_entries_of_a_latent_are_handed_on(echo_model: Any) -> None:
    latent = {**empty(), "batch_index": [3]}
    sampled = run(echo_model(), latent)
    assert sampled["batch_index"] == [3]
    assert latent["samples"].count_nonzero() == 0


def test_each_step_is_told_with_the_total_and_what_the_model_sees(echo_model: Any) -> None:
    told: list[tuple[int, int, float]] = []
    run(echo_model(), empty(), on_step=lambda index, steps, x0: told.append((index, steps, x0.mean().item())))
    assert told == [(0, 4, 8.0), (1, 4, 8.0), (2, 4, 8.0), (3, 4, 8.0)]


def test_a_cancelled_job_ends_within_one_step(echo_model: Any) -> None:
    model = echo_model()

    def cancel(index: int, steps: int, denoised: Tensor) -> None:
        raise Cancelled("the job was cancelled")

    with pytest.raises(Cancelled):
        run(model, empty(), on_step=cancel)
    assert len(model.calls) == 1


def first_seen(model: Any) -> Tensor:
    x: Tensor = model.calls[0].x[:1]
    return x


def test_a_whole_walk_starts_from_noise_alone(echo_model: Any) -> None:
    model = echo_model()
    run(model, empty())
    noise = seeded_noise(torch.zeros(1, 4, 2, 2), SEED)
    torch.testing.assert_close(first_seen(model), noise * (1 + model.prediction.sigma_max**2).sqrt())


def test_a_part_of_a_walk_starts_from_the_latent_under_noise(echo_model: Any) -> None:
    model, latent = echo_model(), {"samples": torch.ones(1, 4, 2, 2)}
    run(model, latent, denoise=0.5)
    sigma = scheduler_sigmas(model.prediction, "normal", 8)[-5]
    noise = seeded_noise(latent["samples"], SEED)
    torch.testing.assert_close(first_seen(model), noise * sigma + model.latent_scale)


def test_without_noise_the_latent_is_sampled_as_it_stands(echo_model: Any) -> None:
    model = echo_model()
    run(model, {"samples": torch.ones(1, 4, 2, 2)}, disable_noise=True)
    torch.testing.assert_close(first_seen(model), torch.full((1, 4, 2, 2), model.latent_scale))


def test_an_item_of_a_batch_gets_the_noise_of_its_index(echo_model: Any) -> None:
    model = echo_model()
    run(model, {**empty(), "batch_index": [2]}, cfg=1.0)
    noise = seeded_noise(torch.zeros(1, 4, 2, 2), SEED, [2])
    torch.testing.assert_close(first_seen(model), noise * (1 + model.prediction.sigma_max**2).sqrt())


@pytest.mark.parametrize(
    ("options", "steps"),
    [
        ({}, [0, 1, 2, 3]),
        ({"denoise": 0.4}, [0, 1, 2, 3]),
        ({"start_step": 1, "last_step": 3}, [0, 1]),
        ({"start_step": 2, "last_step": 10000}, [0, 1]),
        ({"sampler_name": "dpm_2"}, [0, 1, 2, 3]),
    ],
    ids=["all", "denoise", "a stretch", "the rest", "without the penultimate"],
)
def test_a_walk_takes_its_steps(echo_model: Any, options: dict[str, Any], steps: list[int]) -> None:
    told: list[int] = []
    run(echo_model(), empty(), on_step=lambda index, total, x0: told.append(index), **options)
    assert told == steps


@pytest.mark.parametrize(
    "options",
    [{"denoise": 0.0}, {"start_step": 4}, {"start_step": 3, "last_step": 2}, {"start_step": 0, "last_step": 0}],
    ids=["denoise 0", "starts at the end", "ends before its start", "no step"],
)
def test_a_walk_of_no_steps_gives_the_latent_back(echo_model: Any, options: dict[str, Any]) -> None:
    model, samples = echo_model(), torch.randn(1, 4, 2, 2, generator=torch.Generator().manual_seed(1))
    assert torch.equal(run(model, {"samples": samples}, **options)["samples"], samples)
    assert model.calls == []


@pytest.mark.parametrize(("forced", "clean"), [(True, True), (False, False)], ids=["forced", "left over"])
def test_a_stretch_that_ends_early_may_keep_its_noise(echo_model: Any, forced: bool, clean: bool) -> None:
    model = echo_model()
    samples = run(model, empty(), last_step=2, force_full_denoise=forced)["samples"]
    assert torch.allclose(samples, torch.tensor(8.0 / model.latent_scale)) is clean


def test_two_stretches_make_the_whole_walk(echo_model: Any) -> None:
    model = echo_model()
    first = run(model, empty(), last_step=2)
    second = run(model, first, start_step=2, disable_noise=True)
    torch.testing.assert_close(second["samples"], run(model, empty())["samples"])


@pytest.mark.parametrize("sampler", ["dpm_2", "dpm_2_ancestral", "uni_pc", "uni_pc_bh2"])
def test_some_samplers_leave_out_the_last_sigma_but_one(sampler: str) -> None:
    longer = scheduler_sigmas(Prediction(), "karras", 7)
    assert ksampler_sigmas(Prediction(), sampler, "karras", 6).tolist() == [*longer[:-2].tolist(), 0.0]


@pytest.mark.parametrize("denoise", [0.99995, 1.0])
def test_a_denoise_next_to_1_is_the_whole_walk(denoise: float) -> None:
    assert len(ksampler_sigmas(Prediction(), "euler", "ddim_uniform", 6, denoise)) == 8


def test_denoise_takes_the_end_of_a_longer_walk() -> None:
    sigmas = ksampler_sigmas(Prediction(), "euler", "karras", 6, 0.7)
    assert torch.equal(sigmas, scheduler_sigmas(Prediction(), "karras", 8)[-7:])


@pytest.mark.parametrize("sampler", ["euler", "ddim"])
def test_what_a_noise_mask_keeps_comes_out_as_it_was(echo_model: Any, sampler: str) -> None:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 8:] = 1.0
    model, samples = echo_model(), torch.full((1, 4, 2, 2), 3.0)
    painted = run(model, {"samples": samples, "noise_mask": mask}, sampler_name=sampler)["samples"]
    torch.testing.assert_close(painted[..., 0], samples[..., 0])
    torch.testing.assert_close(painted[..., 1], torch.full((1, 4, 2), 8.0 / model.latent_scale))


@pytest.mark.parametrize(("sampler", "seed"), [("euler", SEED), ("ddim", SEED + 1)], ids=["euler", "ddim"])
def test_what_a_noise_mask_keeps_is_shown_under_noise(echo_model: Any, sampler: str, seed: int) -> None:
    model, samples = echo_model(), torch.full((1, 4, 2, 2), 3.0)
    latent = {"samples": samples, "noise_mask": torch.zeros(1, 1, 16, 16)}
    run(model, latent, sampler_name=sampler)
    expected = seeded_noise(samples, seed) * model.prediction.sigma_max + samples * model.latent_scale
    torch.testing.assert_close(first_seen(model), expected)


@pytest.mark.parametrize("channels", [1, 16])
def test_an_empty_latent_gets_the_channels_of_the_model(echo_model: Any, channels: int) -> None:
    assert run(echo_model(), empty(batch=2, channels=channels))["samples"].shape == (2, 4, 2, 2)


def test_a_latent_of_another_model_is_refused(echo_model: Any) -> None:
    with pytest.raises(InvalidRequest, match="has 16 channels, the model expects 4"):
        run(echo_model(), {"samples": torch.ones(1, 16, 2, 2)})


@pytest.mark.parametrize("name", ["sampler_name", "scheduler"])
def test_an_unknown_sampler_or_scheduler_is_refused(echo_model: Any, name: str) -> None:
    with pytest.raises(InvalidRequest, match="'magic' is unknown"):
        run(echo_model(), empty(), **{name: "magic"})


def test_a_custom_run_also_gives_what_the_last_step_saw(echo_model: Any) -> None:
    model = echo_model()
    sigmas = scheduler_sigmas(model.prediction, "karras", 4)[:3]
    output, denoised = sample_latent(
        guider=BasicGuider(model, saying(5.0)),
        noise=RandomNoise(seed=SEED),
        sampler=sampler_by_name("euler"),
        sigmas=sigmas,
        latent=empty(),
        on_step=quiet,
    )
    torch.testing.assert_close(denoised["samples"], torch.full((1, 4, 2, 2), 5.0 / model.latent_scale))
    noise = seeded_noise(torch.zeros(1, 4, 2, 2), SEED) * (1 + sigmas[0] ** 2).sqrt()
    expected = 5.0 + (noise - 5.0) * sigmas[2] / sigmas[0]
    torch.testing.assert_close(output["samples"], expected / model.latent_scale)


def test_a_walk_of_one_sigma_gives_the_noised_latent(echo_model: Any) -> None:
    model, samples = echo_model(), torch.ones(1, 4, 2, 2)
    output, denoised = sample_latent(
        guider=BasicGuider(model, saying(5.0)),
        noise=EmptyNoise(),
        sampler=sampler_by_name("euler"),
        sigmas=torch.tensor([1.0]),
        latent={"samples": samples},
        on_step=quiet,
    )
    torch.testing.assert_close(output["samples"], samples)
    torch.testing.assert_close(denoised["samples"], samples)


def test_sampling_changes_neither_its_sigmas_nor_its_latent(echo_model: Any) -> None:
    model, latent = echo_model(), torch.ones(1, 4, 2, 2)
    sigmas = scheduler_sigmas(model.prediction, "karras", 4)
    before = sigmas.clone()
    sample(
        model=model,
        noise=torch.ones(1, 4, 2, 2),
        guider=BasicGuider(model, saying(5.0)),
        sampler=sampler_by_name("uni_pc"),
        sigmas=sigmas,
        latent=latent,
        noise_mask=None,
        seed=SEED,
        on_step=quiet,
    )
    assert torch.equal(sigmas, before)
    assert torch.equal(latent, torch.ones(1, 4, 2, 2))


def test_a_model_that_breaks_down_gives_nan_and_no_error(echo_model: Any) -> None:
    assert run(echo_model(), empty(), positive=saying(float("nan")))["samples"].isnan().all()


def test_the_prediction_of_a_clone_decides_the_noise(echo_model: Any) -> None:
    model = echo_model()
    clone = replace(model, prediction=Prediction(zero_terminal_snr=True))
    run(clone, empty())
    assert float(clone.calls[0].sigma[0]) == pytest.approx(4518.76, rel=1e-4)
