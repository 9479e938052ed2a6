"""Integrals of Lagrange polynomials: what one value of a multistep method's history adds to the next step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import torch
from torch import Tensor

# Exact for a polynomial alone at half as many; enough for one under exp() over any step that a schedule takes.
_POINTS = 32


def lagrange_integrals(
    nodes: Sequence[float], start: float, end: float, *, weight: Callable[[Tensor], Tensor] = torch.ones_like
) -> list[float]:
    """The integral from `start` to `end` of `weight` times each Lagrange polynomial over `nodes`, in their order.

    The polynomial of a node is 1 there and 0 at the others. By Gauss-Legendre quadrature in float64.
    """
    at = torch.tensor(nodes, dtype=torch.float64)
    points, weights = _gauss_legendre(max(_POINTS, len(nodes)))
    taus = (start + end) / 2 + points * (end - start) / 2
    weights = weights * weight(taus) * (end - start) / 2
    return [float((lagrange(at, j, taus) * weights).sum()) for j in range(len(nodes))]


def lagrange(nodes: Tensor, j: int, at: Tensor) -> Tensor:
    """The Lagrange polynomial of node `j` of `nodes` (K,) at the points `at` (N,)."""
    value = torch.ones_like(at)
    for k in range(len(nodes)):
        if k != j:
            value = value * (at - nodes[k]) / (nodes[j] - nodes[k])
    return value


@lru_cache(maxsize=8)
def _gauss_legendre(count: int) -> tuple[Tensor, Tensor]:
    """The points in -1..1 and the weights of the rule with `count` points, float64 (Golub and Welsch 1969)."""
    k = torch.arange(1, count, dtype=torch.float64)
    beside = k / (4 * k**2 - 1).sqrt()
    points, vectors = torch.linalg.eigh(torch.diag(beside, 1) + torch.diag(beside, -1))
    return points, 2 * vectors[0] ** 2
