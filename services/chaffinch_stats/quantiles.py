"""Sequential comparison of a quantile in two arms, from raw samples.

For latencies where every request is at hand (a replay, an access log). A Prometheus histogram has buckets only: use a
count gate on the bucket instead. Exact under continuous and discrete distributions alike, at any time of stopping
(Howard and Ramdas, Bernoulli 2022, section 5).
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from chaffinch_stats.checks import require_open_unit
from chaffinch_stats.mixture_bounds import log_proportion_mixture, smallest

_AT_ONCE = 1e-9


def log_e_equal(
    first: Sequence[float], second: Sequence[float], p: float, opt: float, alpha_opt: float = 0.05
) -> float:
    """Return the log e-value against "both arms have the same p-quantile"; 0 while an arm is empty.

    The least, over all values x that the quantile could have, of the product of both arms' evidence against x.

    Args:
        first: values of one arm, any order.
        second: values of the other arm.
        p: strictly between 0 and 1, such as 0.95.
        opt: samples per arm at which the test is sharpest.
        alpha_opt: level for which it is.

    Raises:
        ValueError: p outside (0, 1).

    """
    require_open_unit(p, "p")
    if not first or not second:
        return 0.0
    arms = sorted((_Arm.of(values, p, opt, alpha_opt) for values in (first, second)), key=lambda arm: arm.high)
    left, right = arms
    between = right.values[bisect_right(right.values, left.high) : bisect_right(right.values, right.low)]
    return min(left.evidence(x) + right.evidence(x) for x in (left.high, right.low, *dict.fromkeys(between)))


def p_value_equal(first: Sequence[float], second: Sequence[float], p: float, opt: float) -> float:
    """Return min(1, 1/E) of the present samples; its running minimum is the always-valid p-value."""
    return math.exp(-max(0.0, log_e_equal(first, second, p, opt)))


@dataclass(frozen=True, slots=True)
class _Arm:
    """Sorted values of an arm, and the stretch [low, high] of x against which it has the least evidence."""

    values: tuple[float, ...]
    p: float
    opt: float
    alpha_opt: float
    least: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], p: float, opt: float, alpha_opt: float) -> "_Arm":
        ordered = tuple(sorted(values))
        size = len(ordered)
        best = smallest(lambda share: log_proportion_mixture(share * size, size, p, opt, alpha_opt), 0.0, 1.0)
        low = ordered[max(0, math.ceil(best * size - _AT_ONCE) - 1)]
        high = ordered[min(size - 1, math.floor(best * size + _AT_ONCE))]
        return cls(ordered, p, opt, alpha_opt, best, low, high)

    def evidence(self, x: float) -> float:
        """Log e-value against "the p-quantile is x"."""
        size = len(self.values)
        if x < self.low:
            below = float(bisect_right(self.values, x))
        elif x > self.high:
            below = float(bisect_left(self.values, x))
        else:
            below = self.least * size
        return log_proportion_mixture(below, size, self.p, self.opt, self.alpha_opt)
