from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from runtime.errors import NodeFailed

Call = Callable[..., Any]
Picture = Callable[..., Tensor]


def test_a_solid_mask_has_one_value(call: Call) -> None:
    assert torch.equal(call("SolidMask", value=0.25, width=3, height=2)[0], torch.full((1, 2, 3), 0.25))


def test_an_inverted_mask_is_one_less_itself(call: Call) -> None:
    assert call("InvertMask", mask=torch.tensor([[[0.25, 1.0]]]))[0].tolist() == [[[0.75, 0.0]]]


def test_a_cropped_mask_is_the_rectangle_that_is_asked_for(call: Call, picture: Picture) -> None:
    mask = picture(channels=1)[..., 0]
    assert torch.equal(call("CropMask", mask=mask, x=2, y=1, width=3, height=100)[0], mask[:, 1:, 2:5])


def test_a_threshold_is_not_above_itself(call: Call) -> None:
    mask = torch.tensor([[[0.4, 0.5, 0.6]]])
    assert call("ThresholdMask", mask=mask, value=0.5)[0].tolist() == [[[0.0, 0.0, 1.0]]]


def test_a_mask_as_a_picture_is_grey(call: Call) -> None:
    assert call("MaskToImage", mask=torch.tensor([[0.25, 1.0]]))[0].tolist() == [[[[0.25] * 3, [1.0] * 3]]]


@pytest.mark.parametrize(("channel", "index"), [("red", 0), ("green", 1), ("blue", 2), ("alpha", 3)])
def test_a_channel_of_a_picture_is_a_mask(channel: str, index: int, call: Call, picture: Picture) -> None:
    image = picture(channels=4)
    assert torch.equal(call("ImageToMask", image=image, channel=channel)[0], image[..., index])


def test_a_channel_that_the_picture_lacks_is_named(call: Call, picture: Picture) -> None:
    with pytest.raises(NodeFailed, match="3 channels, so it has no channel 'alpha'"):
        call("ImageToMask", image=picture(), channel="alpha")


def test_a_colour_is_found_in_8_bit_levels(call: Call) -> None:
    image = torch.tensor([[[[1.0, 128.3 / 255, -0.1], [1.0, 129 / 255, 0.0], [1.0, 128 / 255, 0.0]]]])
    assert call("ImageColorToMask", image=image, color=0xFF8000)[0].tolist() == [[[1.0, 0.0, 1.0]]]
