from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.diffusion.area import Area
from runtime.diffusion.batching import PromptBatches
from runtime.diffusion.conditioning import Prompt
from runtime.errors import InvalidRequest

SIGMA = torch.tensor(2.0)
RIGHT = Area(height=8, width=4, y=0, x=4)


def prompt(value: float, *, tokens: int = 77, **options: Any) -> Prompt:
    return Prompt(context=torch.full((1, tokens, 8), value), **options)


def values(seen: Tensor) -> list[float]:
    """The different values of a tensor, sorted."""
    return sorted(set(seen.flatten().tolist()))


def latent(batch: int = 1) -> Tensor:
    return torch.arange(64.0).view(1, 1, 8, 8).expand(batch, 4, 8, 8).contiguous()


def sees(model: Any, *sides: list[Prompt], batch: int = 1, sigma: Tensor = SIGMA) -> list[Tensor]:
    return PromptBatches(model, sides, latent(batch))(latent(batch), sigma, range(len(sides)))


def test_both_sides_run_as_one_batch(echo_model: Any) -> None:
    model = echo_model()
    positive, negative = sees(model, [prompt(1.0)], [prompt(3.0)], batch=2)
    assert (values(positive), values(negative)) == ([1.0], [3.0])
    assert [len(call.x) for call in model.calls] == [4]
    assert model.calls[0].sigma.tolist() == [2.0] * 4


@pytest.mark.parametrize(
    ("lengths", "calls"),
    [((77, 77), [77]), ((77, 154), [154]), ((154, 231), [462]), ((77, 385), [77, 385])],
    ids=str,
)
def test_prompts_of_other_lengths_are_repeated_to_a_common_one(
    echo_model: Any, lengths: tuple[int, int], calls: list[int]
) -> None:
    model = echo_model()
    sees(model, [prompt(1.0, tokens=lengths[0])], [prompt(2.0, tokens=lengths[1])])
    assert [call.context.shape[1] for call in model.calls] == calls


def test_several_prompts_of_one_side_are_weighed_by_strength(echo_model: Any) -> None:
    (seen,) = sees(echo_model(), [prompt(1.0, strength=1.0), prompt(4.0, strength=2.0)])
    torch.testing.assert_close(seen, torch.full((1, 4, 8, 8), 3.0))


def test_an_area_counts_only_where_it_lies_and_sees_only_its_crop(echo_model: Any) -> None:
    model = echo_model()
    (seen,) = sees(model, [prompt(1.0), prompt(3.0, area=RIGHT)])
    assert values(seen[..., :4]) == [1.0]
    torch.testing.assert_close(seen[0, 0, 0, 4:], torch.tensor([2.0, 2.0, 2.0, 2.0]))
    assert torch.equal(model.calls[1].x, latent()[..., 4:])


def test_masks_blend_prompts_pixel_by_pixel(echo_model: Any) -> None:
    left = torch.zeros(1, 8, 8)
    left[..., :2] = 1.0
    (seen,) = sees(echo_model(), [prompt(1.0, mask=left), prompt(3.0, mask=1 - left)])
    assert (values(seen[..., :2]), values(seen[..., 2:])) == ([1.0], [3.0])


@pytest.mark.parametrize(
    "side",
    [[], [prompt(5.0, start_sigma=1.0)], [prompt(5.0, strength=0.0)]],
    ids=["no prompt", "not yet active", "of no strength"],
)
def test_a_side_where_nothing_counts_sees_zero(echo_model: Any, side: list[Prompt]) -> None:
    positive, negative = sees(echo_model(), [prompt(1.0)], side)
    assert (values(positive), values(negative)) == ([1.0], [0.0])


def test_a_prompt_that_is_not_active_is_not_run(echo_model: Any) -> None:
    model = echo_model()
    batches = PromptBatches(model, [[prompt(1.0, end_sigma=3.0), prompt(2.0, start_sigma=3.0)]], latent())
    seen = [batches(latent(), torch.tensor(sigma), [0])[0].mean().item() for sigma in (5.0, 2.0, 5.0)]
    assert seen == [1.0, 2.0, 1.0]
    assert [len(call.x) for call in model.calls] == [1, 1, 1]


def test_what_a_model_reads_beside_the_prompt_is_joined_and_cropped(echo_model: Any) -> None:
    model, concat = echo_model(), torch.arange(5 * 64.0).view(1, 5, 8, 8)
    prompts = [prompt(value, area=RIGHT, y=torch.full((1, 3), value), concat=concat) for value in (1.0, 2.0)]
    sees(model, prompts, batch=2)
    assert model.calls[0].y[:, 0].tolist() == [1.0, 1.0, 2.0, 2.0]
    assert torch.equal(model.calls[0].concat, concat[..., 4:].expand(4, 5, 8, 4))


def test_a_batch_that_does_not_fit_is_halved_for_good(echo_model: Any) -> None:
    model = echo_model(rows_that_fit=2)
    batches = PromptBatches(model, [[prompt(1.0), prompt(3.0)], [prompt(5.0), prompt(7.0)]], latent())
    for _ in range(2):
        positive, negative = batches(latent(), SIGMA, [0, 1])
        assert (values(positive), values(negative)) == ([2.0], [6.0])
    assert [len(call.x) for call in model.calls] == [4, 2, 2, 2, 2]


def test_a_single_prompt_that_does_not_fit_ends_the_run(echo_model: Any) -> None:
    with pytest.raises(torch.OutOfMemoryError, match="1 rows"):
        sees(echo_model(rows_that_fit=0), [prompt(1.0)], [prompt(2.0)])


def test_an_area_outside_the_latent_is_refused(echo_model: Any) -> None:
    with pytest.raises(InvalidRequest, match="outside the latent of 8 by 8"):
        sees(echo_model(), [prompt(1.0, area=Area(height=4, width=4, y=9, x=0))])
