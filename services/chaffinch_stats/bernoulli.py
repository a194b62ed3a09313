"""Likelihood of independent yes/no trials: the part shared by every test against an absolute rate."""

import math
from collections.abc import Sequence


def log_likelihood(rate: float, bad: int, total: int) -> float:
    """Return bad*log(rate) + (total-bad)*log(1-rate), with 0*log(0) = 0 and -inf where the counts are impossible."""
    good = total - bad
    log_bad = 0.0 if bad == 0 else bad * math.log(rate) if rate > 0.0 else -math.inf
    log_good = 0.0 if good == 0 else good * math.log1p(-rate) if rate < 1.0 else -math.inf
    return log_bad + log_good


def log_factors(
    null: float, alternatives: Sequence[float], bad: int, total: int, dispersion: float
) -> tuple[float, ...]:
    """Return, per alternative rate, the tempered log likelihood ratio against the rate `null`.

    For one trial with true rate q the expected ratio q*p/p0 + (1-q)*(1-p)/(1-p0) is 1 at q = p0 and monotone in q. So
    it is a supermartingale factor on q <= p0 for every p > p0, and on q >= p0 for every p < p0 (Wald 1945). The power
    1/dispersion <= 1 keeps that by Jensen's inequality.

    Args:
        null: the boundary rate p0, strictly between 0 and 1.
        alternatives: shape (k,), rates in [0, 1), all on one side of `null`.
        bad: bad trials so far.
        total: all trials so far.
        dispersion: phi >= 1.

    """
    against = log_likelihood(null, bad, total)
    return tuple((log_likelihood(rate, bad, total) - against) / dispersion for rate in alternatives)
