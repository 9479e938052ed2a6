from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.diffusion.area import Area
from runtime.diffusion.conditioning import Canvas, Prompt, for_batch, prepared, with_counterparts
from runtime.diffusion.family import Family

CONTEXT = torch.zeros(1, 77, 8)
LEFT = Area(height=16, width=8, y=0, x=0)


def canvas(batch: int = 1, noise_mask: Tensor | None = None) -> Canvas:
    return Canvas(
        noise=torch.zeros(batch, 4, 16, 16), latent=torch.full((batch, 4, 16, 16), 0.5), noise_mask=noise_mask
    )


def values(seen: Tensor) -> list[float]:
    """The different values of a tensor, sorted."""
    return sorted(set(seen.flatten().tolist()))


def one(model: Any, options: dict[str, Any], *, onto: Canvas | None = None, negative: bool = False) -> Prompt:
    (prompt,) = prepared([[CONTEXT, options]], model=model, canvas=onto or canvas(), negative=negative)
    return prompt


def test_a_prompt_without_options_counts_everywhere_and_always(echo_model: Any) -> None:
    prompt = one(echo_model(), {})
    assert (prompt.area, prompt.mask, prompt.y, prompt.concat) == (None, None, None, None)
    assert prompt.is_active(14.6)
    assert prompt.is_active(0.0)
    assert torch.equal(prompt.weight(canvas().noise), torch.ones(1, 1, 16, 16))


def test_a_prompt_counts_between_its_percents(echo_model: Any) -> None:
    model = echo_model()
    prompt = one(model, {"start_percent": 0.25, "end_percent": 0.75})
    start, end = model.prediction.percent_to_sigma(0.25), model.prediction.percent_to_sigma(0.75)
    assert (prompt.start_sigma, prompt.end_sigma) == (start, end)
    assert [prompt.is_active(sigma) for sigma in (start, end, start * 1.01, end * 0.99)] == [True, True, False, False]


def test_a_mask_is_resized_to_the_latent_and_weighed(echo_model: Any) -> None:
    mask = torch.zeros(1, 128, 128)
    mask[:, :, 64:] = 1.0
    prompt = one(echo_model(), {"mask": mask, "mask_strength": 0.5, "strength": 0.5})
    weight = prompt.weight(canvas(batch=2).noise)
    assert weight.shape == (2, 1, 16, 16)
    assert (values(weight[..., 0]), values(weight[..., 15])) == ([0.0], [0.25])


def test_a_mask_can_set_the_area_to_its_bounds(echo_model: Any) -> None:
    mask = torch.zeros(1, 16, 16)
    mask[:, 2:14, 3:15] = 1.0
    prompt = one(echo_model(), {"mask": mask, "set_area_to_bounds": True})
    assert prompt.area == Area(height=12, width=12, y=2, x=3)
    assert torch.equal(prompt.weight(canvas().noise), torch.ones(1, 1, 12, 12))


def test_an_area_is_feathered_and_weighed(echo_model: Any) -> None:
    prompt = one(echo_model(), {"area": (16, 8, 0, 0), "strength": 2.0})
    assert prompt.area == LEFT
    assert prompt.weight(canvas().noise)[0, 0, 0].tolist() == [2.0] * 7 + [1.0]


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({}, [128, 128, 0, 0, 128, 128]),
        ({"width": 64, "height": 32, "crop_w": 8, "crop_h": 4}, [32, 64, 4, 8, 32, 64]),
        ({"width": 64, "height": 32, "target_width": 96, "target_height": 80}, [32, 64, 0, 0, 80, 96]),
    ],
    ids=["the latent's", "its own", "another target"],
)
def test_sdxl_reads_sizes_of_the_prompt_or_else_of_the_latent(
    echo_model: Any, options: dict[str, Any], numbers: list[int]
) -> None:
    model = echo_model(Family.SDXL, adm_channels=16 + 6 * 256)
    y = one(model, {"pooled_output": torch.ones(1, 16), **options}).y
    names = ("height", "width", "crop_h", "crop_w", "target_height", "target_width")
    expected = model.adm(pooled=torch.ones(1, 16), **dict(zip(names, numbers, strict=True)))
    assert y is not None
    assert torch.equal(y, expected)


@pytest.mark.parametrize(("negative", "score"), [(False, 6.0), (True, 2.5)], ids=["positive", "negative"])
def test_the_refiner_scores_the_negative_prompt_lower(echo_model: Any, negative: bool, score: float) -> None:
    model = echo_model(Family.SDXL_REFINER, adm_channels=16 + 5 * 256)
    options = {"pooled_output": torch.ones(1, 16)}
    expected = model.adm(pooled=torch.ones(1, 16), width=128, height=128, aesthetic_score=score)
    y = one(model, options, negative=negative).y
    assert y is not None
    assert torch.equal(y, expected)


def test_an_inpainting_model_reads_the_noise_mask_and_the_latent(echo_model: Any) -> None:
    mask = torch.zeros(1, 1, 16, 16)
    mask[..., 8:] = 0.6
    concat = one(echo_model(Family.SD1_INPAINT), {}, onto=canvas(noise_mask=mask)).concat
    assert concat is not None
    assert (values(concat[:, 0, :, :8]), values(concat[:, 0, :, 8:])) == ([0.0], [1.0])
    assert values(concat[:, 1:]) == [0.5]


def test_a_conditionings_own_mask_and_picture_come_first(echo_model: Any) -> None:
    model = echo_model(Family.SD1_INPAINT)
    own = {"concat_mask": torch.ones(1, 128, 128), "concat_latent_image": torch.ones(1, 4, 16, 16)}
    concat = one(model, own, onto=canvas(noise_mask=torch.zeros(1, 1, 16, 16))).concat
    assert concat is not None
    assert values(concat[:, 0]) == [1.0]
    assert values(concat[:, 1:]) == pytest.approx([model.latent_scale])


def test_a_side_gets_a_counterpart_for_each_area_of_the_other() -> None:
    whole = Prompt(context=CONTEXT + 1)
    area = Prompt(context=CONTEXT + 2, area=LEFT, strength=0.5, end_sigma=3.0)
    counterpart = with_counterparts([whole], [Prompt(context=CONTEXT), area])[1:]
    assert [(prompt.area, prompt.strength, prompt.end_sigma) for prompt in counterpart] == [(LEFT, 0.5, 3.0)]
    assert torch.equal(counterpart[0].context, whole.context)


def test_a_counterpart_reads_the_prompt_of_the_smallest_area_around_it() -> None:
    inner = Area(height=4, width=4, y=1, x=1)
    sides = [Prompt(context=CONTEXT), Prompt(context=CONTEXT + 1, area=Area(height=16, width=16, y=0, x=0))]
    sides.append(Prompt(context=CONTEXT + 2, area=LEFT))
    grown = with_counterparts(sides, [Prompt(context=CONTEXT + 9, area=inner)])
    assert torch.equal(grown[-1].context, CONTEXT + 2)


@pytest.mark.parametrize(
    "prompts",
    [[Prompt(context=CONTEXT, area=LEFT)], [Prompt(context=CONTEXT, area=Area(height=4, width=4, y=0, x=0))], []],
    ids=["the same area is there", "no area is around it", "no prompt"],
)
def test_no_counterpart_is_made_where(prompts: list[Prompt]) -> None:
    assert with_counterparts(prompts, [Prompt(context=CONTEXT, area=LEFT)]) == prompts


@pytest.mark.parametrize(
    ("count", "rows"), [(2, [0, 1]), (3, [0, 1, 2]), (5, [0, 1, 2, 0, 1])], ids=["fewer", "as many", "more"]
)
def test_rows_are_cut_or_repeated_to_the_batch(count: int, rows: list[int]) -> None:
    assert for_batch(torch.arange(3), count).tolist() == rows
