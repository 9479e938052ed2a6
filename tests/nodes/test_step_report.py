from __future__ import annotations

import pytest
import torch

from runtime.nodes.step_report import SD1_COLOURS, SDXL_COLOURS, LatentColours, rough_picture


@pytest.mark.parametrize("colours", [SD1_COLOURS, SDXL_COLOURS], ids=["sd1", "sdxl"])
def test_an_empty_latent_is_of_the_middle_colour(colours: LatentColours) -> None:
    picture = rough_picture(torch.zeros(2, 4, 5, 6), colours)
    assert picture.shape == (5, 6, 3)
    assert picture[0, 0].tolist() == pytest.approx(list(colours.bias))


def test_each_channel_adds_its_colour() -> None:
    latent = torch.tensor([0.0, 1.0, 0.0, 0.0]).reshape(1, 4, 1, 1)
    expected = [bias + weight for bias, weight in zip(SDXL_COLOURS.bias, SDXL_COLOURS.weights[1], strict=True)]
    assert rough_picture(latent, SDXL_COLOURS)[0, 0].tolist() == pytest.approx(expected)


def test_a_rough_picture_stays_between_0_and_1() -> None:
    picture = rough_picture(torch.full((1, 4, 2, 2), 100.0), SDXL_COLOURS)
    assert picture.min() >= 0
    assert picture.max() <= 1
