"""Integrals and quantiles in plain Python: Gauss-Legendre points on panels, and the normal distribution."""

import math
from functools import lru_cache

_ORDER = 8
_NEWTON_STEPS = 8  # from these starting points five reach rounding


@lru_cache(maxsize=16)
def legendre(order: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return points and weights of Gauss-Legendre quadrature on [-1, 1], exact for polynomials of degree 2*order-1."""
    points, weights = [], []
    for j in range(order):
        x = math.cos(math.pi * (j + 0.75) / (order + 0.5))
        for _ in range(_NEWTON_STEPS):
            value, slope = _legendre_at(order, x)
            x -= value / slope
        points.append(x)
        weights.append(2.0 / ((1.0 - x * x) * _legendre_at(order, x)[1] ** 2))
    return tuple(points), tuple(weights)


def _legendre_at(order: int, x: float) -> tuple[float, float]:
    """Return the Legendre polynomial of an order, and its derivative, at x inside (-1, 1)."""
    before, value = 1.0, x
    for k in range(2, order + 1):
        before, value = value, ((2 * k - 1) * x * value - (k - 1) * before) / k
    return value, order * (before - x * value) / (1.0 - x * x)


def panels(low: float, high: float, width: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return points and weights on [low, high], 8 on each of equal panels at most `width` wide; none if it is empty."""
    if not high > low:
        return (), ()
    count = math.ceil((high - low) / width)
    half = 0.5 * (high - low) / count
    nodes, weights = legendre(_ORDER)
    centres = [low + (2 * j + 1) * half for j in range(count)]
    return tuple(c + half * x for c in centres for x in nodes), tuple(half * w for w in weights) * count


def upper_tail(z: float) -> float:
    """Return the probability that a standard normal variable exceeds z."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def upper_quantile(tail: float) -> float:
    """Return the z with upper_tail(z) = tail; relative precision also for tails as small as 1e-300."""
    low, high = -38.0, 38.0
    while high - low > 1e-13:
        middle = 0.5 * (low + high)
        if upper_tail(middle) > tail:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
