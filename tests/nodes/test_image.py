from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

Call = Callable[..., Any]
Picture = Callable[..., Tensor]


def test_an_empty_image_has_the_colour_that_is_asked_for(call: Call) -> None:
    (image,) = call("EmptyImage", width=3, height=2, batch_size=4, color=0xFF8000)
    assert image.shape == (4, 2, 3, 3)
    assert image.dtype == torch.float32
    assert torch.equal(image[3, 1, 2], torch.tensor([1.0, 128 / 255, 0.0]))


def test_an_inverted_image_is_one_less_itself(call: Call, picture: Picture) -> None:
    assert torch.equal(call("ImageInvert", image=picture())[0], 1 - picture())


def test_a_batch_holds_both_images_in_order(call: Call, picture: Picture) -> None:
    first, second = picture(batch=2), picture(seed=1)
    assert torch.equal(call("ImageBatch", image1=first, image2=second)[0], torch.cat((first, second)))


def test_a_batched_image_of_another_shape_is_cut_in_the_middle(call: Call) -> None:
    first, second = torch.zeros(1, 4, 4, 3), torch.zeros(1, 4, 12, 3)
    second[:, :, 4:8] = 1.0
    (batch,) = call("ImageBatch", image1=first, image2=second)
    assert torch.equal(batch[1], torch.ones(4, 4, 3))


def test_a_batched_image_without_alpha_becomes_opaque(call: Call, picture: Picture) -> None:
    (batch,) = call("ImageBatch", image1=picture(channels=4), image2=picture())
    assert torch.equal(batch[1, ..., :3], picture()[0])
    assert torch.equal(batch[1, ..., 3], torch.ones(6, 8))


def test_a_crop_is_the_rectangle_that_is_asked_for(call: Call, picture: Picture) -> None:
    (crop,) = call("ImageCrop", image=picture(), width=3, height=2, x=4, y=1)
    assert torch.equal(crop, picture()[:, 1:3, 4:7])


def test_a_crop_outside_of_the_picture_keeps_its_last_pixel(call: Call, picture: Picture) -> None:
    (crop,) = call("ImageCrop", image=picture(), width=3, height=2, x=400, y=100)
    assert torch.equal(crop, picture()[:, -1:, -1:])


@pytest.mark.parametrize(("method", "axis"), [("x-axis: vertically", 1), ("y-axis: horizontally", 2)])
def test_a_flipped_image_is_turned_round_along_its_axis(method: str, axis: int, call: Call, picture: Picture) -> None:
    assert torch.equal(call("ImageFlip", image=picture(), flip_method=method)[0], picture().flip(axis))


def test_a_quarter_turn_is_clockwise(call: Call, picture: Picture) -> None:
    (turned,) = call("ImageRotate", image=picture(), rotation="90 degrees")
    assert torch.equal(turned[0, 0, -1], picture()[0, 0, 0])
    assert torch.equal(turned[0, 0, 0], picture()[0, -1, 0])


def test_a_repeated_batch_runs_through_the_images_again(call: Call, picture: Picture) -> None:
    image = picture(batch=2)
    assert torch.equal(call("RepeatImageBatch", image=image, amount=2)[0], torch.cat((image, image)))


@pytest.mark.parametrize(("index", "length", "taken"), [(1, 1, [1]), (1, 9, [1, 2]), (9, 2, [2])])
def test_images_are_taken_out_of_a_batch(
    index: int, length: int, taken: list[int], call: Call, picture: Picture
) -> None:
    image = picture(batch=3)
    assert torch.equal(call("ImageFromBatch", image=image, batch_index=index, length=length)[0], image[taken])
