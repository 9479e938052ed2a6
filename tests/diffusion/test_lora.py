"""What a LoRA file says, and the change of a weight that it amounts to."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from runtime.diffusion.lora import Lora
from runtime.diffusion.weight_change import LowRank
from runtime.errors import ModelCorrupt

UP = torch.tensor([[1.0, 0.0], [0.0, 2.0], [0.0, 0.0]])  # (3, r)
DOWN = torch.tensor([[1.0, 1.0, 1.0, 1.0], [0.0, 1.0, 0.0, 0.0]])  # (r, 4)


def _lora(**more: Tensor) -> dict[str, Tensor]:
    tensors = {"layer.lora_up.weight": UP, "layer.lora_down.weight": DOWN}
    return tensors | {f"layer.{name}": tensor for name, tensor in more.items()}


def _product(tensors: dict[str, Tensor], shape: tuple[int, ...] = (3, 4), dtype: torch.dtype = torch.float32) -> Tensor:
    """What the only change of a file is, not scaled."""
    (delta,) = Lora(tensors).deltas.values()
    return delta.product(torch.empty(shape, dtype=dtype))


@pytest.mark.parametrize(
    ("up", "down"),
    [
        (".lora_up.weight", ".lora_down.weight"),
        (".lora_B.weight", ".lora_A.weight"),
        (".lora_B.default.weight", ".lora_A.default.weight"),
        (".lora.up.weight", ".lora.down.weight"),
        ("_lora.up.weight", "_lora.down.weight"),
        (".lora_linear_layer.up.weight", ".lora_linear_layer.down.weight"),
    ],
)
def test_the_two_factors_are_multiplied_whatever_they_are_called(up: str, down: str) -> None:
    torch.testing.assert_close(_product({f"layer{up}": UP, f"layer{down}": DOWN}), UP @ DOWN)


def test_alpha_is_divided_by_the_rank() -> None:
    assert Lora(_lora()).deltas["layer"].scale == 1.0
    assert Lora(_lora(alpha=torch.tensor(3.0))).deltas["layer"].scale == 1.5


def test_factors_in_half_precision_are_multiplied_in_full() -> None:
    product = _product({name: tensor.half() for name, tensor in _lora().items()}, dtype=torch.float16)
    assert product.dtype == torch.float32
    torch.testing.assert_close(product, UP @ DOWN)


def test_a_convolution_is_changed_by_its_flattened_factors() -> None:
    up, down = torch.randn(3, 2, 1, 1), torch.randn(2, 4, 3, 3)
    product = _product({"layer.lora_up.weight": up, "layer.lora_down.weight": down}, (3, 4, 3, 3))
    torch.testing.assert_close(product, torch.einsum("or,rihw->oihw", up[:, :, 0, 0], down))


def test_a_kernel_may_stand_between_the_factors_of_a_convolution() -> None:
    up, mid, down = torch.randn(3, 2, 1, 1), torch.randn(2, 2, 3, 3), torch.randn(2, 4, 1, 1)
    tensors = {"layer.lora_up.weight": up, "layer.lora_down.weight": down, "layer.lora_mid.weight": mid}
    expected = torch.einsum("or,rshw,si->oihw", up[:, :, 0, 0], mid, down[:, :, 0, 0])
    torch.testing.assert_close(_product(tensors, (3, 4, 3, 3)), expected)


@pytest.mark.parametrize(
    ("up", "down", "mid", "weight", "fits"),
    [
        pytest.param((3, 2), (2, 4), None, (3, 4), True, id="linear"),
        pytest.param((3, 2), (2, 4), None, (4, 4), False, id="another weight"),
        pytest.param((3, 2), (1, 4), None, (3, 4), False, id="ranks differ"),
        pytest.param((3,), (1, 4), None, (3, 4), False, id="no matrix"),
        pytest.param((3, 0), (0, 4), None, (3, 4), False, id="rank 0"),
        pytest.param((3, 2, 1, 1), (2, 4, 3, 3), None, (3, 4, 3, 3), True, id="convolution"),
        pytest.param((3, 2, 1, 1), (5, 4, 1, 1), (2, 5, 3, 3), (3, 4, 3, 3), True, id="kernel between"),
        pytest.param((3, 2, 1, 1), (5, 4, 1, 1), (5, 2, 3, 3), (3, 4, 3, 3), False, id="kernel of other ranks"),
        pytest.param((3, 2, 1, 1), (2, 4, 3, 3), (2, 2, 3, 3), (3, 4, 3, 3), False, id="two kernels"),
    ],
)
def test_factors_fit_a_weight_of_their_product_size(
    up: tuple[int, ...], down: tuple[int, ...], mid: tuple[int, ...] | None, weight: tuple[int, ...], fits: bool
) -> None:
    delta = LowRank(up=torch.zeros(up), down=torch.zeros(down), mid=None if mid is None else torch.zeros(mid))
    assert delta.fits(weight) is fits
    if fits:
        assert delta.product(torch.empty(weight)).shape == weight


@pytest.mark.parametrize(
    ("layers", "unused"),
    [
        pytest.param({"layer"}, [], id="all are known"),
        pytest.param({"other"}, ["layer"], id="a layer is unknown"),
    ],
)
def test_layers_that_no_model_has_are_unused(layers: set[str], unused: list[str]) -> None:
    lora = Lora(_lora(alpha=torch.tensor(1.0)))
    assert lora.unused(layers) == unused


def test_a_tensor_that_is_part_of_no_change_is_unused() -> None:
    lora = Lora({**_lora(), "layer.other": UP, "other.alpha": torch.tensor(1.0)})
    assert lora.unused({"layer"}) == ["layer.other", "other.alpha"]


@pytest.mark.parametrize(
    ("tensors", "fault"),
    [
        pytest.param({"weight": UP}, "no LoRA: none of its 1 tensors", id="no lora"),
        pytest.param({"a.lora_up.weight": UP}, r"no tensor a\.lora_down\.weight", id="one factor"),
        pytest.param(
            {"layer.hada_w1_a": UP}, r"no tensor layer\.hada_w1_b beside the others of layer", id="part of a loha"
        ),
        pytest.param(
            {"layer.lokr_w1": UP}, r"no tensor layer\.lokr_w2_a beside the others of layer", id="part of a lokr"
        ),
        pytest.param({**_lora(), "layer.oft_blocks": UP}, "is of a OFT, expected a LoRA", id="oft"),
        pytest.param({**_lora(), "layer.a1.weight": UP}, "is of a GLoRA", id="glora"),
    ],
)
def test_what_is_no_change_of_a_kind_that_is_known_is_refused(tensors: dict[str, Tensor], fault: str) -> None:
    with pytest.raises(ModelCorrupt, match=fault):
        Lora(tensors)
