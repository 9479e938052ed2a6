"""Layers that are built without being filled, and the filling of them from a checkpoint's tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn

from runtime.errors import ModelCorrupt

GROUPS = 32


class Given(NamedTuple):
    """What a layer of the UNet may look at beside its input.

    `time` (B, E) is the timestep's embedding behind its activation, `context` (B, T, D) the prompt's tokens,
    `size` the (height, width) that a doubling of the resolution shall come to.
    """

    time: Tensor
    context: Tensor
    size: tuple[int, int]


class Linear(nn.Linear):
    """`nn.Linear` without weights: they come from a file, so that nothing is allocated or drawn for them."""

    __call__: Callable[..., Tensor]

    def __init__(self, channels_in: int, channels_out: int, *, bias: bool = True) -> None:
        super().__init__(channels_in, channels_out, bias=bias, device="meta")

    def reset_parameters(self) -> None:
        """Draw nothing."""


class Conv2d(nn.Conv2d):
    """`nn.Conv2d` of a square kernel without weights, as `Linear`."""

    __call__: Callable[..., Tensor]

    def __init__(
        self, channels_in: int, channels_out: int, kernel_size: int, *, stride: int = 1, padding: int = 0
    ) -> None:
        super().__init__(channels_in, channels_out, kernel_size, stride=stride, padding=padding, device="meta")

    def reset_parameters(self) -> None:
        """Draw nothing."""


class GroupNorm(nn.GroupNorm):
    """`nn.GroupNorm` of 32 groups without weights, as `Linear`."""

    __call__: Callable[..., Tensor]

    def __init__(self, channels: int, *, eps: float) -> None:
        super().__init__(GROUPS, channels, eps=eps, device="meta")

    def reset_parameters(self) -> None:
        """Set nothing."""

    def forward(self, x: Tensor) -> Tensor:
        # Not by `F.group_norm`, which refuses a single place of 32 channels for the sake of training.
        return torch.group_norm(x, GROUPS, self.weight, self.bias, self.eps)


class LayerNorm(nn.LayerNorm):
    """`nn.LayerNorm` over the last axis without weights, as `Linear`."""

    __call__: Callable[..., Tensor]

    def __init__(self, channels: int, *, eps: float = 1e-5) -> None:
        super().__init__(channels, eps=eps, device="meta")

    def reset_parameters(self) -> None:
        """Set nothing."""


def assign_weights(module: nn.Module, tensors: Mapping[str, Tensor], *, file_name: Callable[[str], str]) -> None:
    """Make the parameters of `module` the very `tensors`, found by `file_name(parameter name)`.

    A 1x1 convolution (O, I, 1, 1) is taken for a linear layer (O, I) as a view, and the other way round.
    Raises ModelCorrupt naming the tensor that is missing or of another shape.
    """
    for path, owner in module.named_modules():
        for leaf, parameter in list(owner._parameters.items()):
            if parameter is None:
                continue
            name = file_name(f"{path}.{leaf}" if path else leaf)
            weight = _weight(name, tensors, tuple(parameter.shape))
            owner._parameters[leaf] = nn.Parameter(weight, requires_grad=False)


def _weight(name: str, tensors: Mapping[str, Tensor], shape: tuple[int, ...]) -> Tensor:
    tensor = tensors.get(name)
    if tensor is None:
        raise ModelCorrupt(f"the checkpoint has no tensor {name}, expected one of shape {list(shape)}")
    if tuple(tensor.shape) == shape:
        return tensor
    if _without_kernel(tuple(tensor.shape)) != _without_kernel(shape):
        raise ModelCorrupt(f"the tensor {name} has the shape {list(tensor.shape)}, expected {list(shape)}")
    return tensor.view(shape)


def _without_kernel(shape: tuple[int, ...]) -> tuple[int, ...]:
    """(O, I, 1, 1) as (O, I)."""
    return shape[:2] if shape[2:] == (1, 1) else shape


def size_bytes(module: nn.Module) -> int:
    """The bytes of a module's weights."""
    return sum(parameter.nbytes for parameter in module.parameters())
