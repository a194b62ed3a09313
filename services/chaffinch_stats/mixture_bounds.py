"""Time-uniform boundaries of statistics other than the two-arm count: normal sums, proportions, distributions.

From Howard, Ramdas, McAuliffe and Sekhon, "Time-uniform, nonparametric, nonasymptotic confidence sequences" (Annals of
Statistics 2021), and Howard and Ramdas, "Sequential estimation of quantiles with applications to A/B testing and
best-arm identification" (Bernoulli 2022). Tested against the numbers their R implementation gives.
"""

import math
from collections.abc import Callable

from chaffinch_stats.checks import require_open_unit, require_positive

_LEAST_SPREAD = 1e-3
_BISECTIONS = 60
_SECTIONS = 50
_GOLDEN = 0.5 * (math.sqrt(5.0) - 1.0)


def best_rho(v: float, alpha: float) -> float:
    """Return the width of the two-sided normal mixture whose boundary at variance v is (nearly) the tightest."""
    require_positive(v, "v")
    require_open_unit(alpha, "alpha")
    log = math.log(1.0 / alpha)
    return v / (2.0 * log + math.log1p(2.0 * log))


def normal_log_mixture(s: float, v: float, rho: float) -> float:
    """Return the log of the two-sided normal mixture supermartingale at sum s and variance v."""
    return 0.5 * math.log(rho / (v + rho)) + s * s / (2.0 * (v + rho))


def normal_mixture_bound(v: float, alpha: float, rho: float) -> float:
    """Return the sum that is exceeded on either side, at any time, with probability at most alpha."""
    require_open_unit(alpha, "alpha")
    return math.sqrt((v + rho) * (math.log1p(v / rho) + 2.0 * math.log(1.0 / alpha)))


def log_proportion_mixture(successes: float, trials: int, p: float, opt: float, alpha_opt: float = 0.05) -> float:
    """Return the log of the beta-binomial mixture against "the success probability is p"; 0 for no trials.

    Args:
        successes: 0 to trials; need not be whole, for quantiles are interpolated.
        trials: at least 0.
        p: strictly between 0 and 1.
        opt: number of trials at which the mixture is tightest.
        alpha_opt: level for which it is.

    """
    require_open_unit(p, "p")
    spread = p * (1.0 - p)
    r = max(best_rho(spread * opt, alpha_opt) - spread, _LEAST_SPREAD * spread)
    a, b = r / (1.0 - p), r / p
    mixed = _log_beta(a + successes, b + trials - successes) - _log_beta(a, b)
    return mixed - successes * math.log(p) - (trials - successes) * math.log1p(-p)


def proportion_limits(
    successes: int, trials: int, alpha: float, opt: float, alpha_opt: float = 0.05
) -> tuple[float, float]:
    """Return limits for a success probability that hold at all times together with probability 1-alpha."""
    require_open_unit(alpha, "alpha")
    seen = successes / trials
    threshold = math.log(1.0 / alpha)

    def excess(p: float) -> float:
        return log_proportion_mixture(successes, trials, p, opt, alpha_opt) - threshold

    lower = _crossing(lambda p: excess(p) if p > 0.0 else 1.0, 0.0, seen) if successes else 0.0
    upper = -_crossing(lambda q: excess(-q) if q > -1.0 else 1.0, -1.0, -seen) if successes < trials else 1.0
    return lower, upper


def double_stitching_bound(
    p: float, t: float, alpha: float, opt: float, delta: float = 0.5, s: float = 1.4, eta: float = 2.0
) -> float:
    """Return how far t times the empirical distribution strays from t*p at the p-quantile, all times and p at once."""
    require_open_unit(p, "p")
    m = max(t, opt)
    logit = math.log(p / (1.0 - p))
    r = p if p >= 0.5 else min(0.5, 1.0 / (1.0 + math.exp(-logit - 2.0 * delta * math.sqrt(opt * eta / m))))
    spread = r * (1.0 - r)
    k1, k2 = (eta**0.25 + eta**-0.25) / math.sqrt(2.0), 0.5 * (math.sqrt(eta) + 1.0)
    j = math.sqrt(m / opt) * abs(logit) / (2.0 * delta) + 1.0
    zeta = _zeta(s)
    ell = s * math.log(math.log(eta * m / opt)) + s * math.log(j)
    ell += math.log(2.0 * zeta * (2.0 * zeta + 1.0) / (alpha * math.log(eta) ** s))
    linear = k2 * (1.0 - 2.0 * p) / 3.0 * ell
    return delta * math.sqrt(eta * m * spread / opt) + math.sqrt(k1 * k1 * spread * m * ell + linear**2) + linear


def empirical_process_bound(t: float, alpha: float, t_min: float, a: float = 0.85) -> float:
    """Return how far an empirical distribution function strays from the true one, everywhere, ever after t_min.

    A law of the iterated logarithm with explicit constants; inf before t_min.

    Raises:
        ValueError: alpha outside (0, 1), or a not above the root of a half.

    """
    require_open_unit(alpha, "alpha")
    if a <= math.sqrt(0.5):
        raise ValueError(f"a must exceed 1/sqrt(2), got {a!r}")
    if t < t_min:
        return math.inf
    return a * math.sqrt((math.log1p(math.log(t / t_min)) + _smallest_constant(alpha, a)) / t)


def _smallest_constant(alpha: float, a: float) -> float:
    """Return the C at which the error over all epochs, at the best length of epoch, is alpha."""

    def error(c: float) -> float:
        longest = _crossing(lambda eta: a - math.sqrt(0.5 * eta) - math.sqrt(2.0 * (eta - 1.0) / c), 1.0, 2.0 * a * a)
        return _epoch_error(c, smallest(lambda eta: _epoch_error(c, eta, a), 1.0, longest), a)

    return _crossing(lambda c: error(c) - alpha, 1.0, 100.0)


def _epoch_error(c: float, eta: float, a: float) -> float:
    """Return the probability of crossing the boundary with constant c in any epoch of ratio eta, below the longest."""
    g = 2.0 / eta * (a - math.sqrt(2.0 * (eta - 1.0) / c)) ** 2
    return 4.0 * math.exp(-g * c) * (1.0 + 1.0 / ((g - 1.0) * math.log(eta)))


def _zeta(s: float, terms: int = 20) -> float:
    """Return Riemann's zeta for s > 1 by Euler and Maclaurin's formula, to 1e-12."""
    head = math.fsum(k**-s for k in range(1, terms))
    corrections = s / 12.0 * terms ** (-s - 1.0) - s * (s + 1.0) * (s + 2.0) / 720.0 * terms ** (-s - 3.0)
    return float(head + terms ** (1.0 - s) / (s - 1.0) + 0.5 * terms**-s + corrections)


def _crossing(f: Callable[[float], float], low: float, high: float) -> float:
    """Return where f, above 0 on a left part of [low, high], stops being so."""
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if f(middle) > 0.0:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


def smallest(f: Callable[[float], float], low: float, high: float) -> float:
    """Return where a function with one minimum in [low, high] has it, by golden section."""
    left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
    at_left, at_right = f(left), f(right)
    for _ in range(_SECTIONS):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = f(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = f(right)
    return 0.5 * (low + high)


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
