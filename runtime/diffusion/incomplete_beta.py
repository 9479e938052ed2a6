"""The beta distribution's quantile function, in double precision and without scipy."""

from __future__ import annotations

import math

_TINY = 1e-300
_CLOSE_ENOUGH = 1e-16
_MAX_TERMS = 500
_MAX_ROUNDS = 400


def beta_quantile(p: float, a: float, b: float) -> float:
    """The x in [0, 1] below which a share `p` of the Beta(a, b) distribution lies; a, b > 0.

    Newton's method on the distribution function, kept inside a bracket that halves whenever Newton leaves it.
    """
    if not (a > 0 and b > 0):
        raise ValueError(f"the beta distribution's parameters are {a} and {b}, expected both above 0")
    if p <= 0.0 or p >= 1.0:
        return 0.0 if p <= 0.0 else 1.0
    low, high, x = 0.0, 1.0, a / (a + b)
    for _ in range(_MAX_ROUNDS):
        error = regularized_incomplete_beta(x, a, b) - p
        low, high = (low, x) if error > 0 else (x, high)
        nearer = x - error / _density(x, a, b)
        nearer = nearer if low < nearer < high else (low + high) / 2
        if abs(nearer - x) <= 1e-16 * x or nearer in (low, high):
            return nearer
        x = nearer
    return x


def regularized_incomplete_beta(x: float, a: float, b: float) -> float:
    """I_x(a, b), the distribution function of Beta(a, b) at `x` in [0, 1] (DLMF 8.17.22, by its continued fraction)."""
    if x <= 0.0 or x >= 1.0:
        return 0.0 if x <= 0.0 else 1.0
    if x > (a + 1) / (a + b + 2):  # the fraction converges fast below this point: mirror there
        return 1.0 - regularized_incomplete_beta(1.0 - x, b, a)
    return x * (1 - x) * _density(x, a, b) / a * _continued_fraction(x, a, b)


def _density(x: float, a: float, b: float) -> float:
    log_beta = math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
    return math.exp((a - 1) * math.log(x) + (b - 1) * math.log1p(-x) - log_beta)


def _continued_fraction(x: float, a: float, b: float) -> float:
    """1 / (1 + d1 / (1 + d2 / (1 + ...))), by Lentz's method (Thompson and Barnett 1986)."""
    value, c, d = 1.0, 1.0, 0.0
    for n in range(1, _MAX_TERMS):
        term = _coefficient(n, x, a, b)
        c = _away_from_zero(1.0 + term / c)
        d = 1.0 / _away_from_zero(1.0 + term * d)
        value *= c * d
        if abs(c * d - 1.0) < _CLOSE_ENOUGH:
            break
    return 1.0 / value


def _coefficient(n: int, x: float, a: float, b: float) -> float:
    m = n // 2
    if n % 2 == 0:
        return m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m))
    return -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1))


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY
