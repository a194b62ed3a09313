"""The conditional likelihood of a 2x2 table: Fisher's non-central hypergeometric distribution, at any size of counts.

Of m bad requests among n_c + n_b, the canary's number x has the weight C(n_c,x)*C(n_b,m-x)*psi**x, psi the odds ratio.
What a test needs of it is S(psi) = log(Z(psi)/Z(1)), Z the sum of the weights; then x*log(psi) - S(psi) is the log
likelihood, as in `counts` with another S.

Z is the coefficient of z**m in (1+psi*z)**n_c * (1+z)**n_b: r**-m times normalizers times the probability that J, a
sum of two binomial counts with odds psi*r and r, is m. With r put where the mean of J is m, that probability is the
integral over a circle of a narrow peak, and the trapezoidal rule on K points is off only by P(J = m-K) + P(J = m+K) +
... (Trefethen and Weideman, SIAM Review 2014), which Bernstein's inequality keeps below exp(-36) of the result for the
K used here. Points further out, where the integrand is smaller than that, are left out. So 8 to 30 points give S to
1e-11 or to double rounding, 1e-15 times the number of requests, whichever is more (tested against exact rational sums,
and against Laplace's formula where that is exact). An error e in S multiplies the expected factor by exp(e) at most.
"""

import math
from collections.abc import Iterator, Sequence

_SMALLEST = 36.0


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
        return tuple(canary_bad * math.log(psi) for psi in odds_ratios)
    central = bad / (total - bad)
    base = math.log1p(central)
    at_one = _log_probability(canary_total, baseline_total, bad, central, central)

    def normalizer(psi: float) -> float:
        odds = _odds(canary_total, baseline_total, bad, psi)
        return (
            canary_total * (math.log1p(psi * odds) - base)
            + baseline_total * (math.log1p(odds) - base)
            - bad * math.log(odds / central)
            + _log_probability(canary_total, baseline_total, bad, psi * odds, odds)
            - at_one
        )

    return tuple(0.0 if psi == 1.0 else normalizer(psi) for psi in odds_ratios)


def growth(share: float, bad_rate: float, odds_ratio: float) -> float:
    """Return the limit of S(odds_ratio) per request, for a canary's share and an overall bad rate, both in (0, 1)."""
    odds, central = _odds(share, 1.0 - share, bad_rate, odds_ratio), bad_rate / (1.0 - bad_rate)
    by_arm = share * math.log1p(odds_ratio * odds) + (1.0 - share) * math.log1p(odds)
    return by_arm - math.log1p(central) - bad_rate * math.log(odds / central)


def _odds(canary_total: float, baseline_total: float, bad: float, psi: float) -> float:
    """Return the baseline's odds r at which both arms together expect `bad`: the positive root of a quadratic."""
    square = psi * (canary_total + baseline_total - bad)
    linear = canary_total * psi + baseline_total - bad * (1.0 + psi)
    root = math.sqrt(linear * linear + 4.0 * square * bad)
    return 2.0 * bad / (linear + root) if linear > 0.0 else (root - linear) / (2.0 * square)


def _log_probability(
    canary_total: int, baseline_total: int, bad: int, canary_odds: float, baseline_odds: float
) -> float:
    """Return log P(J = bad), J the sum of two independent binomial counts with these odds."""
    p, q = canary_odds / (1.0 + canary_odds), baseline_odds / (1.0 + baseline_odds)
    p_spread, q_spread = p / (1.0 + canary_odds), q / (1.0 + baseline_odds)
    variance = canary_total * p_spread + baseline_total * q_spread
    goal = _SMALLEST + 0.5 * math.log1p(variance)
    third = goal / 3.0
    points = min(math.ceil(third + math.sqrt(third * third + 2.0 * goal * variance)), canary_total + baseline_total + 1)

    def terms() -> Iterator[float]:
        yield 0.5
        for k in range(1, points // 2 + 1):
            angle = 2.0 * math.pi * k / points
            sine, versine = math.sin(angle), 2.0 * math.sin(0.5 * angle) ** 2
            height = 0.5 * canary_total * _log1m(2.0 * p_spread * versine)
            height += 0.5 * baseline_total * _log1m(2.0 * q_spread * versine)
            if height < -goal:
                return
            turn = canary_total * math.atan2(p * sine, 1.0 - p * versine)
            turn += baseline_total * math.atan2(q * sine, 1.0 - q * versine) - bad * angle
            yield (0.5 if 2 * k == points else 1.0) * math.exp(height) * math.cos(turn)

    return math.log(2.0 * math.fsum(terms()) / points)


def _log1m(x: float) -> float:
    """Return log(1-x), a large negative number at 1 where rounding may have put it."""
    return math.log1p(-x) if x < 1.0 else -745.0
