"""Each kind of change that a LoRA file can make to a weight, against its formula written out."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch
from torch import Tensor

from runtime.diffusion.lora import Lora
from runtime.diffusion.weight_change import Change, Directed, LowRank

SEED = 7


def _tensors(**shapes: tuple[int, ...]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(SEED)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def _change(parts: Mapping[str, Tensor], alpha: float | None = None) -> Change:
    named = {f"layer.{name}": tensor for name, tensor in parts.items()}
    if alpha is not None:
        named["layer.alpha"] = torch.tensor(alpha)
    return Lora(named).deltas["layer"]


def test_a_loha_is_two_products_multiplied_element_by_element() -> None:
    parts = _tensors(hada_w1_a=(6, 2), hada_w1_b=(2, 4), hada_w2_a=(6, 2), hada_w2_b=(2, 4))
    change = _change(parts, alpha=1.0)
    expected = (parts["hada_w1_a"] @ parts["hada_w1_b"]) * (parts["hada_w2_a"] @ parts["hada_w2_b"])
    torch.testing.assert_close(change.product(torch.empty(6, 4)), expected)
    assert change.scale == 0.5


def test_a_lokr_is_a_kronecker_product_and_scaled_by_the_rank_of_its_low_rank_factor() -> None:
    parts = _tensors(lokr_w1=(2, 3), lokr_w2_a=(4, 2), lokr_w2_b=(2, 5))
    change = _change(parts, alpha=3.0)
    expected = torch.kron(parts["lokr_w1"], parts["lokr_w2_a"] @ parts["lokr_w2_b"])
    torch.testing.assert_close(change.product(torch.empty(8, 15)), expected)
    assert change.scale == 1.5


def test_the_alpha_of_a_lokr_of_whole_factors_counts_for_nothing() -> None:
    assert _change(_tensors(lokr_w1=(2, 3), lokr_w2=(4, 5)), alpha=3.0).scale == 1.0


@pytest.mark.parametrize(
    ("parts", "fitting", "other"),
    [
        pytest.param(
            {"hada_w1_a": (6, 2), "hada_w1_b": (2, 4), "hada_w2_a": (6, 2), "hada_w2_b": (2, 4)},
            (6, 4),
            (4, 4),
            id="loha",
        ),
        pytest.param(
            {"hada_w1_a": (6, 2), "hada_w1_b": (3, 4), "hada_w2_a": (6, 2), "hada_w2_b": (2, 4)},
            None,
            (6, 4),
            id="ranks",
        ),
        pytest.param({"lokr_w1": (2, 3), "lokr_w2": (4, 5)}, (8, 15), (8, 16), id="lokr"),
        pytest.param({"lokr_w1": (2, 3), "lokr_w2": (4, 5, 3, 3)}, (8, 15, 3, 3), (8, 15), id="lokr of a kernel"),
        pytest.param({"diff": (3, 4)}, (3, 4), (4, 3), id="difference"),
    ],
)
def test_a_change_fits_a_weight_of_its_own_size(
    parts: dict[str, tuple[int, ...]], fitting: tuple[int, ...] | None, other: tuple[int, ...]
) -> None:
    change = _change(_tensors(**parts))
    assert not change.fits(other)
    assert fitting is None or change.fits(fitting)


def _low_rank() -> LowRank:
    parts = _tensors(up=(3, 2), down=(2, 4))
    return LowRank(up=parts["up"], down=parts["down"], alpha=1.0)


def test_a_dora_gives_each_output_the_length_that_it_says_over_the_one_that_the_weight_had() -> None:
    weight, magnitude = _tensors(weight=(3, 4))["weight"], torch.tensor([[1.0], [2.0], [3.0]])
    change = _low_rank()
    expected = (weight + change.product(weight) / 2) * magnitude / weight.norm(dim=1, keepdim=True)
    torch.testing.assert_close(Directed(change=change, magnitude=magnitude).added(weight, 1.0), expected)


def test_a_dora_by_input_ends_at_the_length_that_it_says() -> None:
    weight, magnitude = _tensors(weight=(3, 4))["weight"], torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    changed = Directed(change=_low_rank(), magnitude=magnitude).added(weight, 1.0)
    torch.testing.assert_close(changed.norm(dim=0), magnitude[0])


def test_the_strength_of_a_dora_goes_from_the_weight_to_what_it_becomes() -> None:
    weight = _tensors(weight=(3, 4))["weight"]
    dora = Directed(change=_low_rank(), magnitude=torch.ones(3, 1))
    torch.testing.assert_close(dora.added(weight, 0.25), weight * 0.75 + dora.added(weight, 1.0) * 0.25)


@pytest.mark.parametrize(
    ("magnitude", "fits"),
    [((3, 1), True), ((1, 4), True), ((4,), True), ((2, 1), False), ((), False), ((1, 3, 1), False)],
)
def test_a_magnitude_spreads_over_the_weight_or_does_not_fit(magnitude: tuple[int, ...], fits: bool) -> None:
    assert Directed(change=_low_rank(), magnitude=torch.ones(magnitude)).fits((3, 4)) is fits
