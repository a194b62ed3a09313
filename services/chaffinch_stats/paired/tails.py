"""Tail probabilities of the normal, chi-square and symmetric binomial distributions, without numerics packages.

Arguments are exact integers where they count something, so that nothing is lost above 2**53.
"""

import math
from fractions import Fraction
from statistics import NormalDist

from chaffinch_stats.checks import require_count, require_open_unit

_STANDARD = NormalDist()
_EXACT_UP_TO = 1000  # sums of binomial coefficients stay below a thousand bits
_SUMMED_UP_TO = 10**8  # the sum has at most some 9*sqrt(n)/2 terms that matter
_STIRLING = (1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188)
_STIRLING_FROM = 16
_SADDLE_POINT_FROM = 3.0
_TINY = 1e-18


def normal_quantile(level: float) -> float:
    """Return z with P(Z <= z) = level; ValueError outside (0, 1)."""
    require_open_unit(level, "level")
    return _STANDARD.inv_cdf(level)


def normal_upper(z: float) -> float:
    """Return P(Z >= z)."""
    return 0.5 * math.erfc(z / math.sqrt(2.0))


def normal_two_sided(z: float) -> float:
    """Return P(|Z| >= |z|)."""
    return math.erfc(abs(z) / math.sqrt(2.0))


def chi_square_upper(x: float, df: int) -> float:
    """Return P(X >= x) for df degrees of freedom; 1 for df 0.

    A finite sum for every integer df (Abramowitz and Stegun 26.4.4 and 26.4.5).

    Raises:
        ValueError: negative x or df.

    """
    require_count(df, "df")
    if x < 0.0:
        raise ValueError(f"x must not be negative, got {x}")
    if df == 0 or x == 0.0:
        return 1.0
    half = 0.5 * x
    if df % 2:
        total = math.erfc(math.sqrt(half))
        first = 0.5
    else:
        total = math.exp(-half)
        first = 1.0
    for k in range((df - 1) // 2):
        total += math.exp(-half + (first + k) * math.log(half) - math.lgamma(first + k + 1.0))
    return min(1.0, total)


def half_binomial_log_point(k: int, n: int) -> float:
    """Return log P(X = k), X binomial(n, 1/2), 0 <= k <= n; relative error of P near 1e-14 at any n.

    Loader's saddle-point expansion (2000), in the exact integer n - 2k.
    """
    if k in (0, n):
        return -n * math.log(2.0)
    spread = 0.5 * (math.log(n) - math.log(k) - math.log(n - k) - math.log(2.0 * math.pi))
    return _stirling(n) - _stirling(k) - _stirling(n - k) - _deviance(abs(n - 2 * k), n) + spread


def half_binomial_lower(k: int, n: int) -> float:
    """Return P(X <= k), X binomial(n, 1/2), for 0 <= 2k < n.

    Exact in integers to n = 1000, a sum of terms to n = 1e8; above that the normal tail within three standard
    deviations and the saddle-point tail beyond (Lugannani and Rice 1980, Daniels 1987), relative error below 1e-6.
    """
    if n <= _EXACT_UP_TO:
        return float(Fraction(sum(math.comb(n, j) for j in range(k + 1)), 2**n))
    if n <= _SUMMED_UP_TO:
        return math.exp(half_binomial_log_point(k, n)) * _sum_below(k, n)
    return _normal_lower(k, n)


def _sum_below(k: int, n: int) -> float:
    """Return P(X <= k) / P(X = k)."""
    term = total = 1.0
    for j in range(k, 0, -1):
        term *= j / (n - j + 1)
        total += term
        if term < _TINY * total:
            break
    return total


def _normal_lower(k: int, n: int) -> float:
    excess = n - 2 * k
    z = (excess - 1) / math.sqrt(n)
    if z < _SADDLE_POINT_FROM:
        return normal_upper(z)
    if k == 0:
        return math.exp(-n * math.log(2.0))
    w = math.sqrt(2.0 * _deviance(excess, n))
    u = excess / (n - k) * math.sqrt(k / n) * math.sqrt(n - k)
    return normal_upper(w) + math.exp(-0.5 * w * w) / math.sqrt(2.0 * math.pi) * (1.0 / u - 1.0 / w)


def _stirling(n: int) -> float:
    """Return log n! - log(sqrt(2 pi n) (n/e)**n), n >= 1."""
    if n < _STIRLING_FROM:
        return math.lgamma(n + 1) - (n + 0.5) * math.log(n) + n - 0.5 * math.log(2.0 * math.pi)
    inverse = 1.0 / n
    square, total = inverse * inverse, 0.0
    for coefficient in reversed(_STIRLING):
        total = total * square + coefficient
    return total * inverse


def _deviance(excess: int, n: int) -> float:
    """Return n times the relative entropy of ((1-t)/2, (1+t)/2) to (1/2, 1/2), t = excess/n in [0, 1)."""
    t = excess / n
    if t > 0.1:
        return n * 0.5 * ((1.0 + t) * math.log1p(t) + (1.0 - t) * math.log1p(-t))
    square, total = t * t, 0.0
    for j in range(9, 0, -1):
        total = (total + 1.0 / (2 * j * (2 * j - 1))) * square
    return n * total
