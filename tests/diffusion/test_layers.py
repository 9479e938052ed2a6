from __future__ import annotations

import pytest
import torch
from torch import nn

from runtime.diffusion.layers import Conv2d, GroupNorm, LayerNorm, Linear, assign_weights, size_bytes
from runtime.errors import ModelCorrupt


class Pair(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = Linear(3, 2)
        self.conv = Conv2d(3, 2, 1)


@pytest.fixture
def tensors() -> dict[str, torch.Tensor]:
    return {
        "file.linear.weight": torch.randn(2, 3),
        "file.linear.bias": torch.randn(2),
        "file.conv.weight": torch.randn(2, 3, 1, 1),
        "file.conv.bias": torch.randn(2),
    }


@pytest.mark.parametrize(
    "layer",
    [Linear(64, 32), Conv2d(4, 32, 3), GroupNorm(32, eps=1e-6), LayerNorm(32)],
    ids=lambda layer: type(layer).__name__,
)
def test_a_layer_takes_no_memory_until_it_is_filled(layer: nn.Module) -> None:
    assert all(weight.is_meta for weight in layer.parameters())


def test_the_weights_are_the_very_tensors(tensors: dict[str, torch.Tensor]) -> None:
    pair = Pair()
    assign_weights(pair, tensors, file_name=lambda name: f"file.{name}")
    for name, weight in pair.named_parameters():
        assert weight.data_ptr() == tensors[f"file.{name}"].data_ptr()
        assert not weight.requires_grad
    assert size_bytes(pair) == 4 * (6 + 2 + 6 + 2)


def test_a_1x1_convolution_and_a_linear_layer_serve_for_each_other(tensors: dict[str, torch.Tensor]) -> None:
    tensors["file.linear.weight"], tensors["file.conv.weight"] = (
        tensors["file.conv.weight"],
        tensors["file.linear.weight"],
    )
    pair, x = Pair(), torch.randn(1, 3)
    assign_weights(pair, tensors, file_name=lambda name: f"file.{name}")
    torch.testing.assert_close(pair.linear(x), x @ tensors["file.linear.weight"][:, :, 0, 0].T + pair.linear.bias)


@pytest.mark.parametrize(
    ("tensor", "fault"),
    [
        pytest.param(None, r"no tensor file\.linear\.weight, expected one of shape \[2, 3\]", id="missing"),
        pytest.param(torch.zeros(3, 2), r"file\.linear\.weight has the shape \[3, 2\]", id="transposed"),
        pytest.param(torch.zeros(2, 3, 3, 3), r"has the shape \[2, 3, 3, 3\]", id="a larger kernel"),
        pytest.param(torch.zeros(6), r"has the shape \[6\]", id="flat"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(
    tensors: dict[str, torch.Tensor], tensor: torch.Tensor | None, fault: str
) -> None:
    del tensors["file.linear.weight"]
    if tensor is not None:
        tensors["file.linear.weight"] = tensor
    with pytest.raises(ModelCorrupt, match=fault):
        assign_weights(Pair(), tensors, file_name=lambda name: f"file.{name}")
