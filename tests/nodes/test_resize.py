from __future__ import annotations

import math

import pytest
import torch

from runtime.diffusion.cropping import cut_to_aspect
from runtime.nodes.resize import LATENT_METHODS, resize


def _angled(degrees: float, length: float = 1.0) -> list[float]:
    return [length * math.cos(math.radians(degrees)), length * math.sin(math.radians(degrees))]


@pytest.mark.parametrize("method", LATENT_METHODS)
def test_the_same_size_changes_nothing(method: str) -> None:
    planes = torch.randn(2, 4, 5, 7, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(resize(planes, 7, 5, method), planes, rtol=0, atol=1e-5)


def test_between_two_vectors_their_angle_and_length_change_evenly() -> None:
    planes = torch.tensor([_angled(0, 1), _angled(80, 3)]).T.reshape(1, 2, 1, 2)
    middle = resize(planes, 4, 1, "bislerp")[0, :, 0, 1]  # a quarter of the way
    assert middle.tolist() == pytest.approx(_angled(20, 1.5), abs=1e-6)


def test_between_two_opposite_vectors_the_way_is_straight() -> None:
    planes = torch.tensor([_angled(0, 1), _angled(180, 3)]).T.reshape(1, 2, 1, 2)
    assert resize(planes, 4, 1, "bislerp")[0, :, 0, 1].tolist() == pytest.approx([0.0, 0.0], abs=1e-6)


def test_a_vector_of_nought_has_no_direction() -> None:
    planes = torch.tensor([[0.0, 0.0], _angled(90, 2)]).T.reshape(1, 2, 1, 2)
    assert resize(planes, 4, 1, "bislerp").isfinite().all()


@pytest.mark.parametrize(
    ("width", "height", "rows", "columns"), [(4, 4, (0, 6), (2, 8)), (10, 3, (2, 4), (0, 10)), (10, 6, (0, 6), (0, 10))]
)
def test_a_cut_to_proportions_keeps_the_middle(
    width: int, height: int, rows: tuple[int, int], columns: tuple[int, int]
) -> None:
    planes = torch.arange(60.0).reshape(1, 1, 6, 10)
    expected = planes[..., slice(*rows), slice(*columns)]
    assert torch.equal(cut_to_aspect(planes, width, height), expected)


def test_lanczos_works_on_8_bit_levels() -> None:
    planes = torch.full((1, 3, 4, 4), 0.7)
    assert torch.equal(resize(planes, 8, 8, "lanczos"), torch.full((1, 3, 8, 8), 178 / 255))
