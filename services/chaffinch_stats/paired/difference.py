"""How large is the difference of two rates on the same requests: intervals, and tests against a margin.

Differences are candidate minus control. The difference of two separate intervals is none of these: it ignores that
the requests are the same.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import accumulate

from chaffinch_stats.checks import require_count, require_open_unit
from chaffinch_stats.paired.absent import NotAvailable
from chaffinch_stats.paired.cells import Pairs
from chaffinch_stats.paired.tails import normal_quantile, normal_upper

Limits = tuple[float, float]
NO_REQUEST = NotAvailable("no request")
_BISECTIONS = 100
_ENUMERATED_UP_TO = 30.0  # expected discordant pairs below which the normal approximation of a score is too coarse


def wilson(successes: int, trials: int, alpha: float = 0.05) -> Limits | NotAvailable:
    """Return the score limits of one rate (Wilson 1927)."""
    require_count(successes, "successes")
    require_count(trials, "trials")
    require_open_unit(alpha, "alpha")
    if successes > trials:
        raise ValueError(f"successes must not exceed trials, got {successes} of {trials}")
    if trials == 0:
        return NO_REQUEST
    z = normal_quantile(1.0 - 0.5 * alpha)
    rate, square = successes / trials, z * z / trials
    middle = (rate + 0.5 * square) / (1.0 + square)
    half = z * math.sqrt(rate * (1.0 - rate) / trials + 0.25 * square / trials) / (1.0 + square)
    low = 0.0 if successes == 0 else max(0.0, middle - half)
    return low, 1.0 if successes == trials else min(1.0, middle + half)


def difference(pairs: Pairs) -> Fraction | NotAvailable:
    """Return the rate under the candidate minus that under the control, exact."""
    if pairs.total == 0:
        return NO_REQUEST
    return Fraction(pairs.candidate_only - pairs.control_only, pairs.total)


def newcombe(pairs: Pairs, alpha: float = 0.05) -> Limits | NotAvailable:
    """Return the square-and-add limits of the paired difference (Newcombe 1998, Stat Med 17:2635, method 10)."""
    found = difference(pairs)
    control, candidate = wilson(pairs.control, pairs.total, alpha), wilson(pairs.candidate, pairs.total, alpha)
    if isinstance(found, NotAvailable) or isinstance(control, NotAvailable) or isinstance(candidate, NotAvailable):
        return NO_REQUEST
    phi, middle = _phi(pairs), float(found)
    p1, p2 = pairs.control / pairs.total, pairs.candidate / pairs.total
    below2, above1 = p2 - candidate[0], control[1] - p1
    above2, below1 = candidate[1] - p2, p1 - control[0]
    low = middle - math.sqrt(max(0.0, below2 * below2 - 2.0 * phi * below2 * above1 + above1 * above1))
    high = middle + math.sqrt(max(0.0, above2 * above2 - 2.0 * phi * above2 * below1 + below1 * below1))
    return max(-1.0, low), min(1.0, high)


def _phi(pairs: Pairs) -> float:
    """Return the correlation of the two verdicts, with Newcombe's continuity correction for a positive one."""
    n = pairs.total
    margins = pairs.control * (n - pairs.control) * pairs.candidate * (n - pairs.candidate)
    if margins == 0:
        return 0.0
    determinant = pairs.both * pairs.neither - pairs.control_only * pairs.candidate_only
    doubled = max(0, 2 * determinant - n) if determinant > 0 else 2 * determinant
    return doubled / (2 * math.isqrt(margins)) if margins > 2**106 else doubled / (2 * math.sqrt(margins))


def tango(pairs: Pairs, alpha: float = 0.05) -> Limits | NotAvailable:
    """Return the score limits of the paired difference (Tango 1998, Stat Med 17:891)."""
    require_open_unit(alpha, "alpha")
    found = difference(pairs)
    if isinstance(found, NotAvailable):
        return found
    z, middle = normal_quantile(1.0 - 0.5 * alpha), float(found)
    return _where_score_is(pairs, z, -1.0, middle), _where_score_is(pairs, -z, middle, 1.0)


def score(pairs: Pairs, at: float) -> float:
    """Return Tango's score statistic of the hypothesis "difference = at", decreasing in `at`; 0 if nothing speaks.

    With `at` 0 it is the square root of McNemar's chi-square. The variance uses the likelihood's own estimate of the
    discordant rates under the hypothesis, which is what keeps it honest in small samples.
    """
    return _score(pairs.total, pairs.control_only, pairs.candidate_only, at)


def _score(n: int, b: int, c: int, at: float) -> float:
    above = float(c - b) - n * at
    if above == 0.0:
        return 0.0
    variance = n * (2.0 * _control_only_rate(n, b, c, at) + at * (1.0 - at))
    return math.copysign(math.inf, above) if variance <= 0.0 else above / math.sqrt(variance)


def _control_only_rate(n: int, b: int, c: int, at: float) -> float:
    """Return the most likely probability of a control-only pair when the difference is `at`."""
    linear = (2.0 * n - c + b) * at - b - c
    constant = -b * at * (1.0 - at)
    root = math.sqrt(max(0.0, linear * linear - 8.0 * n * constant))
    found = (root - linear) / (4.0 * n) if linear <= 0.0 else -2.0 * constant / (root + linear)
    return max(found, -at, 0.0)


def _where_score_is(pairs: Pairs, level: float, low: float, high: float) -> float:
    for _ in range(_BISECTIONS):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        if score(pairs, middle) > level:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@dataclass(frozen=True, slots=True)
class MarginTest:
    """Evidence on both sides of a margin.

    Attributes:
        margin: the difference that separates the sides.
        z: score statistic; large when the difference is above the margin.
        p_above: p of "the difference is at most the margin": small when it is above.
        p_below: p of "the difference is at least the margin": small when it is below.

    """

    margin: float
    z: float
    p_above: float
    p_below: float


def margin_test(pairs: Pairs, margin: float) -> MarginTest | NotAvailable:
    """Return whether the paired difference is above or below a margin; non-inferiority is one of the two sides.

    Normal tails of Tango's score; where fewer than 30 discordant pairs are expected, the exact distribution of the
    score at the most likely nuisance rate (Lloyd 2008, "estimated p-value"), because one event must not be called
    proof of a rate of one in a thousand.

    Raises:
        ValueError: margin outside (-1, 1).

    """
    require_open_unit(0.5 * (margin + 1.0), "(margin + 1)/2")
    if pairs.total == 0:
        return NO_REQUEST
    z = score(pairs, margin)
    if pairs.discordant + pairs.total * abs(margin) > _ENUMERATED_UP_TO:
        return MarginTest(margin, z, normal_upper(z), normal_upper(-z))
    above, below = _enumerated(pairs, margin, z)
    return MarginTest(margin, z, above, below)


def _enumerated(pairs: Pairs, margin: float, z: float) -> tuple[float, float]:
    """Return P(score >= z) and P(score <= z) when the difference is the margin."""
    n = pairs.total
    rate = _control_only_rate(n, pairs.control_only, pairs.candidate_only, margin)
    slack, above, below = 1e-9 * (1.0 + abs(z)), 0.0, 0.0
    for b, c, probability in _discordant_counts(n, rate, max(0.0, rate + margin)):
        found = _score(n, b, c, margin)
        above += probability if found >= z - slack else 0.0
        below += probability if found <= z + slack else 0.0
    return min(1.0, above), min(1.0, below)


def _discordant_counts(n: int, control_rate: float, candidate_rate: float) -> Iterator[tuple[int, int, float]]:
    """Yield the discordant counts of n pairs with their multinomial probabilities, as far as they matter."""
    rest = max(0.0, 1.0 - control_rate - candidate_rate)
    most_b, most_c = _farthest(n, control_rate), _farthest(n, candidate_rate)
    falling = [0.0, *accumulate(math.log(n - i) for i in range(min(n, most_b + most_c)))]
    for b in range(most_b + 1):
        for c in range(min(most_c, n - b) + 1):
            others = n - b - c
            if others and rest == 0.0:
                continue
            log = (
                falling[b + c] - math.lgamma(b + 1) - math.lgamma(c + 1) + (others * math.log(rest) if others else 0.0)
            )
            log += (b * math.log(control_rate) if b else 0.0) + (c * math.log(candidate_rate) if c else 0.0)
            yield b, c, math.exp(log)


def _farthest(n: int, rate: float) -> int:
    """Return a count that a binomial (n, rate) exceeds with probability below 1e-10."""
    mean = n * rate
    return min(n, math.ceil(mean + 7.0 * math.sqrt(mean) + 12.0)) if rate > 0.0 else 0
