"""Muon: momentum of which every matrix is made orthogonal before it is a step.

Jordan 2024, kellerjordan.github.io/posts/muon. Steps have the size that AdamW's would have (Liu et al. 2025,
arXiv:2502.16982, section 2.2), so that both take the same learning rate.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

_NARROWEST = 32  # rows or columns of a matrix that is worth it
_STEP_SIZE = 0.2
_COEFFICIENTS = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 4


def is_matrix(parameter: Tensor) -> bool:
    """Whether `parameter` is a layer's weight that `Muon` takes: neither a vector nor a few rows or columns."""
    return parameter.ndim >= 2 and min(parameter.flatten(1).shape) >= _NARROWEST


class Muon:
    """Steps for matrices, convolutions among them as (out, in * height * width)."""

    def __init__(self, parameters: Iterable[nn.Parameter], *, momentum: float = 0.93) -> None:
        self._parameters = list(parameters)
        self._momentum = momentum
        self.buffers = [torch.zeros_like(parameter) for parameter in self._parameters]

    @torch.no_grad()
    def step(self, learning_rate: float, *, weight_decay: float) -> None:
        """Go one step down the parameters' gradients."""
        for parameter, buffer in zip(self._parameters, self.buffers, strict=True):
            if parameter.grad is None:
                continue
            buffer.lerp_(parameter.grad, 1.0 - self._momentum)
            ahead = parameter.grad.lerp(buffer, self._momentum).flatten(1)  # Nesterov's
            step = orthogonal(ahead) * (_STEP_SIZE * max(ahead.shape) ** 0.5)
            parameter.mul_(1.0 - learning_rate * weight_decay)
            parameter.sub_(step.view_as(parameter), alpha=learning_rate)


def orthogonal(matrix: Tensor) -> Tensor:
    """The matrix (R, C) of nearly the same directions whose singular values are all about 1, by Newton and Schulz."""
    first, second, third = _COEFFICIENTS
    is_tall = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if is_tall else matrix
    x = x / (torch.linalg.matrix_norm(x) + 1e-12)
    for _ in range(_ITERATIONS):
        square = x @ x.T
        x = first * x + (second * square + third * square @ square) @ x
    result: Tensor = x.T if is_tall else x
    return result
