"""The loop: it learns, and a run that was broken off ends where an unbroken one does."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from scripts.train_demo.muon import orthogonal
from scripts.train_demo.training import Draw, Recipe, Training, draw

RECIPE = Recipe(name="line", steps=60, learning_rate=0.2)


def module() -> nn.Linear:
    linear = nn.Linear(40, 40)
    with torch.no_grad():
        linear.weight.normal_(generator=torch.Generator().manual_seed(1))
        linear.bias.zero_()
    return linear


def training(folder: Path) -> Training:
    folder.mkdir(exist_ok=True)
    return Training(module(), RECIPE, folder=folder, seed=7)


def distance(linear: nn.Module, drawn: Draw) -> Tensor:
    x = torch.randn(8, 40, generator=drawn.generator)
    return (linear(x) - 2.0 * x).square().mean()


def run(one: Training, *, until: int = RECIPE.steps) -> None:
    def loss(drawn: Draw) -> Tensor:
        if one.step >= until:
            raise InterruptedError
        return distance(one.module, drawn)

    one.run(loss)


def test_the_loss_falls(tmp_path: Path) -> None:
    one, again = training(tmp_path), draw(7, "check", 0, 0)
    before = distance(one.module, again).item()
    run(one)
    assert distance(one.module, again).item() < 0.7 * before


def test_a_run_that_goes_on_ends_where_an_unbroken_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(whole := training(tmp_path / "whole"))
    monkeypatch.setattr("scripts.train_demo.training._SAVE_EVERY_S", 0.0)
    with pytest.raises(InterruptedError):
        run(training(tmp_path / "broken"), until=25)
    run(resumed := training(tmp_path / "broken"))
    for one, other in zip(whole.mean.parameters(), resumed.mean.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_run_that_is_done_learns_no_more(tmp_path: Path) -> None:
    run(training(tmp_path))
    assert training(tmp_path).is_done


def test_steps_of_a_stage_draw_differently_and_the_same_each_time() -> None:
    first, again, next_step, other_part = (
        draw(1, "a", *place).rng.random() for place in ((0, 0), (0, 0), (1, 0), (0, 1))
    )
    assert first == again
    assert len({first, next_step, other_part}) == 3


@pytest.mark.parametrize("shape", [(32, 64), (64, 32)])
def test_a_matrix_is_made_nearly_orthogonal(shape: tuple[int, int]) -> None:
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(3))
    values = torch.linalg.svdvals(orthogonal(matrix))
    assert values.min() > 0.4
    assert values.max() < 1.5
