from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

Call = Callable[..., Any]
Picture = Callable[..., Tensor]


@pytest.mark.parametrize(
    ("operation", "combined"),
    [
        ("multiply", [0.0, 0.24, 0.42, 1.0]),
        ("add", [0.0, 1.0, 1.0, 1.0]),
        ("subtract", [0.0, 0.0, 0.1, 0.0]),
        ("and", [0.0, 0.0, 1.0, 1.0]),
        ("or", [0.0, 1.0, 1.0, 1.0]),
        ("xor", [0.0, 1.0, 0.0, 0.0]),
    ],
)
def test_two_masks_are_combined(operation: str, combined: list[float], call: Call) -> None:
    below, above = torch.tensor([[[0.0, 0.4, 0.7, 1.0]]]), torch.tensor([[[0.0, 0.6, 0.6, 1.0]]])
    (mask,) = call("MaskComposite", destination=below, source=above, x=0, y=0, operation=operation)
    assert mask[0, 0].tolist() == pytest.approx(combined)


def test_half_rounds_to_nought(call: Call) -> None:
    half, one = torch.full((1, 1, 1), 0.5), torch.ones(1, 1, 1)
    assert call("MaskComposite", destination=half, source=one, x=0, y=0, operation="and")[0] == 0


@pytest.mark.parametrize(("x", "covered"), [(1, [0, 1, 1]), (2, [0, 0, 1]), (3, [0, 0, 0]), (99, [0, 0, 0])])
def test_what_lies_beyond_the_edge_is_left_out(x: int, covered: list[float], call: Call) -> None:
    below, above = torch.zeros(1, 1, 3), torch.ones(1, 1, 2)
    (mask,) = call("MaskComposite", destination=below, source=above, x=x, y=0, operation="add")
    assert mask[0, 0].tolist() == covered


def test_an_image_covers_another_where_it_lies(call: Call, picture: Picture) -> None:
    below, above = picture(), picture(3, 4, seed=1)
    (image,) = call("ImageCompositeMasked", destination=below, source=above, x=6, y=1, resize_source=False)
    expected = below.clone()
    expected[:, 1:4, 6:] = above[:, :, :2]
    assert torch.equal(image, expected)


def test_a_mask_says_how_much_of_it_shows(call: Call, picture: Picture) -> None:
    below, above = picture(), picture(seed=1)
    mask = picture(seed=2)[..., 0]
    (image,) = call("ImageCompositeMasked", destination=below, source=above, x=0, y=0, resize_source=False, mask=mask)
    share = mask[..., None]
    torch.testing.assert_close(image, share * above + (1 - share) * below)


def test_the_source_can_be_stretched_over_the_whole(call: Call, picture: Picture) -> None:
    above = torch.full((1, 2, 2, 3), 0.5)
    (image,) = call("ImageCompositeMasked", destination=picture(), source=above, x=0, y=0, resize_source=True)
    assert torch.equal(image, torch.full((1, 6, 8, 3), 0.5))


def test_one_source_covers_every_image_of_a_batch(call: Call, picture: Picture) -> None:
    below, above = picture(batch=3), picture(seed=1)
    (image,) = call("ImageCompositeMasked", destination=below, source=above, x=0, y=0, resize_source=False)
    assert torch.equal(image, above.expand(3, -1, -1, -1))


def test_a_source_without_alpha_is_opaque(call: Call, picture: Picture) -> None:
    below = torch.zeros(1, 6, 8, 4)
    (image,) = call("ImageCompositeMasked", destination=below, source=picture(), x=4, y=0, resize_source=False)
    assert image[0, 0, :, 3].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
