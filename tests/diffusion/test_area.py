import pytest
import torch

from runtime.diffusion.area import Area
from runtime.errors import InvalidRequest


def area(height: int, width: int, y: int = 0, x: int = 0) -> Area:
    return Area(height=height, width=width, y=y, x=x)


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ((4, 6, 2, 1), area(4, 6, 2, 1)),
        (("percentage", 0.5, 0.25, 0.5, 0.1), area(8, 5, 8, 2)),
        (("percentage", 0.001, 1.0, 0.0, 0.0), area(1, 20, 0, 0)),
    ],
    ids=["pixels", "shares", "at least a pixel"],
)
def test_an_area_is_given_in_latent_pixels_or_in_shares(option: tuple[float, ...], expected: Area) -> None:
    assert Area.from_option(option, 16, 20) == expected


def test_an_area_around_a_mask_holds_all_of_it() -> None:
    mask = torch.zeros(2, 32, 32)
    mask[0, 4, 10], mask[1, 20, 12] = 1.0, -0.5
    assert Area.around(mask) == area(17, 8, 4, 10)


def test_an_area_around_an_empty_mask_is_the_smallest_there_is() -> None:
    assert Area.around(torch.zeros(1, 32, 32)) == area(8, 8)


@pytest.mark.parametrize(
    ("inner", "fits"),
    [(area(4, 4, 2, 2), True), (area(8, 8), True), (area(4, 4, 5, 0), False), (area(4, 9), False)],
    ids=["inside", "the same", "below", "wider"],
)
def test_an_area_lies_within_another_with_all_of_its_pixels(inner: Area, fits: bool) -> None:
    assert inner.within(area(8, 8)) is fits


def test_an_area_is_clipped_to_the_latent() -> None:
    assert area(10, 10, 4, 2).clipped(8, 8) == area(4, 6, 4, 2)


@pytest.mark.parametrize("outside", [area(4, 4, 8, 0), area(4, 4, 0, 12), area(4, 4, -1, 0)], ids=str)
def test_an_area_outside_the_latent_is_refused(outside: Area) -> None:
    with pytest.raises(InvalidRequest, match="lies outside the latent of 8 by 8"):
        outside.clipped(8, 8)


def test_an_area_of_planes_is_a_view() -> None:
    planes = torch.zeros(1, 4, 8, 8)
    area(2, 3, 1, 4).of(planes).add_(1)
    assert planes[:, :, 1:3, 4:7].sum() == planes.sum() == 24


def test_weights_fall_toward_the_edges_that_are_not_the_latents() -> None:
    weights = area(8, 40, 0, 4).feathered(16, 64)
    assert weights[0].tolist()[8:-8] == [1.0] * 24
    assert weights[0].tolist()[:8] == [pytest.approx(step / 8) for step in range(1, 9)]
    assert weights[:, 20].tolist() == [1.0] * 6 + [1.0, 0.5]


def test_an_area_as_large_as_the_latent_counts_everywhere() -> None:
    assert torch.equal(area(8, 8).feathered(8, 8), torch.ones(8, 8))
