"""The conditional likelihood of a 2x2 table: Fisher's non-central hypergeometric distribution, at any size of counts.

Of m bad requests among n_c + n_b, the canary's number x has the weight C(n_c,x)*C(n_b,m-x)*psi**x, psi the odds ratio.
What a test needs of it is S(psi) = log(Z(psi)/Z(1)), Z the sum of the weights; then x*log(psi) - S(psi) is the log
likelihood, as in `counts` with another S.

Z is the coefficient of z**m in (1+psi*z)**n_c * (1+z)**n_b: r**-m times normalizers times the probability that J, a
sum of two binomial counts with odds psi*r and r, is m. With r put where the mean of J is m, that probability is the
integral over a circle of a narrow peak, and the trapezoidal rule on K points is off only by P(J = m-K) + P(J = m+K) +
... (Trefethen and Weideman, SIAM Review 2014), which Bernstein's inequality keeps below exp(-28) of the result for the
K used here. Points further out, where the integrand is smaller than that, are left out. So 6 to 25 points give
S to 1e-11 or to double rounding, 1e-15 times the number of requests, whichever is more (tested against exact rational
sums, and against Laplace's formula where that is exact).

Where J varies by more than LARGE the circle is left for the expansion of the peak in the cumulants of J, to the second
order (Daniels, Annals of Mathematical Statistics 1954): what it leaves out is below 1/(30*variance**3), 1e-9 at first
(tested against exact sums) and 1e-11 from a variance of 1,500 on. An error e in S multiplies the expected factor by
exp(e) at most.
"""

import math
from collections.abc import Sequence
from functools import lru_cache
from math import log, log1p, sqrt

LARGE = 300.0
"""Variance of the number of bad requests from which the expansion is used."""

_SMALLEST = 28.0
_FAR_BELOW = -745.0
_CIRCLE = 2.0 * math.pi


def log_normalizers(
    canary_total: int, baseline_total: int, bad: int, odds_ratios: Sequence[float]
) -> tuple[float, ...]:
    """Return S(psi) = log E[psi**X], X hypergeometric (psi = 1), for every odds ratio.

    Args:
        canary_total: requests of the canary, at least 1.
        baseline_total: requests of the baseline, at least 1.
        bad: bad requests of both, from 0 to all.
        odds_ratios: shape (k,), above 0.

    """
    total = canary_total + baseline_total
    if bad in (0, total):
        canary_bad = canary_total if bad else 0
        return tuple([canary_bad * log(psi) for psi in odds_ratios])
    canary, baseline, events = float(canary_total), float(baseline_total), float(bad)
    at_one = _log_coefficient(canary, baseline, events, 1.0)
    return tuple(
        [0.0 if psi == 1.0 else _log_coefficient(canary, baseline, events, psi) - at_one for psi in odds_ratios]
    )


def growth(share: float, bad_rate: float, odds_ratio: float) -> float:
    """Return the limit of S(odds_ratio) per request, for a canary's share and an overall bad rate, both in (0, 1)."""
    odds, central = _odds(share, 1.0 - share, bad_rate, odds_ratio), bad_rate / (1.0 - bad_rate)
    by_arm = share * log1p(odds_ratio * odds) + (1.0 - share) * log1p(odds)
    return by_arm - log1p(central) - bad_rate * log(odds / central)


def _odds(canary_total: float, baseline_total: float, bad: float, psi: float) -> float:
    """Return the baseline's odds r at which both arms together expect `bad`: the positive root of a quadratic."""
    square = psi * (canary_total + baseline_total - bad)  # `_odds`, written out: calls are a tenth of the time here
    linear = canary_total * psi + baseline_total - bad * (1.0 + psi)
    root = sqrt(linear * linear + 4.0 * square * bad)
    return 2.0 * bad / (linear + root) if linear > 0.0 else (root - linear) / (2.0 * square)


def _log_coefficient(canary_total: float, baseline_total: float, bad: float, psi: float) -> float:
    """Return log Z(psi): the normalizers at the odds where the mean of J is `bad`, and log P(J = bad)."""
    square = psi * (canary_total + baseline_total - bad)  # `_odds`, written out: calls are a tenth of the time here
    linear = canary_total * psi + baseline_total - bad - bad * psi
    root = sqrt(linear * linear + 4.0 * square * bad)
    odds = (bad + bad) / (linear + root) if linear > 0.0 else (root - linear) / (square + square)
    canary_odds = psi * odds
    p, q = canary_odds / (1.0 + canary_odds), odds / (1.0 + odds)
    p_spread, q_spread = p / (1.0 + canary_odds), q / (1.0 + odds)
    variance = canary_total * p_spread + baseline_total * q_spread
    at_mean = canary_total * log1p(canary_odds) + baseline_total * log1p(odds) - bad * log(odds)
    if variance < LARGE:
        return at_mean + _on_circle((canary_total, baseline_total, bad), (p, q), (p_spread, q_spread), variance)
    share, p_skew, q_skew = canary_total * p_spread / variance, 1.0 - p - p, 1.0 - q - q
    p_part = share * p_spread
    q_part = q_spread - share * q_spread
    third = q_skew + share * (p_skew - q_skew)  # cumulants of J over its variance
    fourth = 1.0 - 6.0 * (p_part + q_part)
    fifth = third - 12.0 * (p_skew * p_part + q_skew * q_part)
    sixth = 5.0 * fourth - 4.0 + 120.0 * (p_part * p_spread + q_part * q_spread)
    skew = third * third
    second = 7.0 * third * fifth - sixth + 4.0 * fourth * fourth + skew * (15.0 * skew - 25.0 * fourth)
    first = 3.0 * fourth - 5.0 * skew
    return at_mean + (first + 0.5 * second / variance) / (24.0 * variance) - 0.5 * log(_CIRCLE * variance)


def _on_circle(
    totals: tuple[float, float, float], chances: tuple[float, float], spreads: tuple[float, float], variance: float
) -> float:
    """Return log P(J = bad) by the trapezoidal rule, for any variance."""
    (canary_total, baseline_total, bad), (p, q) = totals, chances
    goal = _SMALLEST + 0.5 * log1p(variance)
    third = goal / 3.0
    points = min(math.ceil(third + sqrt(third * third + 2.0 * goal * variance)), int(canary_total + baseline_total) + 1)
    half_canary, half_baseline = 0.5 * canary_total, 0.5 * baseline_total
    p_square, q_square = -2.0 * spreads[0], -2.0 * spreads[1]
    atan2, total = math.atan2, 0.5
    for angle, sine, versine, weight in _circle(points):
        x, y = p_square * versine, q_square * versine
        height = half_canary * (log1p(x) if x > -1.0 else _FAR_BELOW)  # rounding may have put it at -1
        height += half_baseline * (log1p(y) if y > -1.0 else _FAR_BELOW)
        if height < -goal:
            break
        turn = canary_total * atan2(p * sine, 1.0 - p * versine)
        turn += baseline_total * atan2(q * sine, 1.0 - q * versine) - bad * angle
        total += weight * math.exp(height) * math.cos(turn)
    return log(2.0 * total / points)


@lru_cache(maxsize=256)
def _circle(points: int) -> tuple[tuple[float, float, float, float], ...]:
    """Return angle, sine, 1 - cosine and weight of the points of half a circle, the first left out."""
    angles = [2.0 * math.pi * k / points for k in range(1, points // 2 + 1)]
    return tuple(
        (angle, math.sin(angle), 2.0 * math.sin(0.5 * angle) ** 2, 0.5 if 2 * k == points else 1.0)
        for k, angle in enumerate(angles, start=1)
    )
