"""Exact confidence limits of a probability from independent trials (Clopper and Pearson 1934)."""

import math

from chaffinch_stats.checks import require_count, require_open_unit

_BISECTIONS = 80
_TINY = 1e-18


def clopper_pearson(successes: int, trials: int, alpha: float = 0.05) -> tuple[float, float]:
    """Return the two-sided limits of a success probability with confidence 1 - alpha; (0, 1) for no trials.

    Raises:
        TypeError: counts that are no integers.
        ValueError: negative counts, more successes than trials, alpha outside (0, 1).

    """
    require_count(successes, "successes")
    require_count(trials, "trials")
    require_open_unit(alpha, "alpha")
    if successes > trials:
        raise ValueError(f"successes must not exceed trials, got {successes} of {trials}")
    low = 0.0 if successes == 0 else _root(successes, trials, 0.5 * alpha)
    high = 1.0 if successes == trials else 1.0 - _root(trials - successes, trials, 0.5 * alpha)
    return low, high


def log_tail(successes: int, trials: int, p: float) -> float:
    """Return log P(X >= successes) of a binomial X; 0 <= successes <= trials, p strictly between 0 and 1."""
    if successes <= 0:
        return 0.0
    if successes - 1 < trials * p:
        below = _log_sum(successes - 1, trials, p, -1)
        return math.log(-math.expm1(below)) if below < 0.0 else -math.inf
    return _log_sum(successes, trials, p, 1)


def _log_sum(first: int, trials: int, p: float, step: int) -> float:
    """Sum the probabilities from `first` outwards, away from the mode, until they stop to matter."""
    log_first = (
        math.lgamma(trials + 1) - math.lgamma(first + 1) - math.lgamma(trials - first + 1)
        + first * math.log(p) + (trials - first) * math.log1p(-p)
    )  # fmt: skip
    odds = p / (1.0 - p)
    term, total, k = 1.0, 1.0, first
    while 0 <= k + step <= trials:
        term *= (trials - k) * odds / (k + 1) if step > 0 else k / ((trials - k + 1) * odds)
        k += step
        total += term
        if term < _TINY * total:
            break
    return min(0.0, log_first + math.log(total))


def _root(successes: int, trials: int, level: float) -> float:
    """Return the p at which P(X >= successes) is the level."""
    low, high, target = 0.0, 1.0, math.log(level)
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if log_tail(successes, trials, middle) < target:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)
