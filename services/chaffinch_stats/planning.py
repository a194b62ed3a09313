"""Forecasts of the requests a gate needs to decide.

The log e-value of one alternative grows on average linearly with requests, exactly so, because it is linear in the
counts. Dividing the threshold by the growth of the best alternative gives the expected sample size (Wald's identity,
1945, overshoot ignored). Where the true ratio is on the grid, the growth per bad event is the Kullback-Leibler
divergence KL(Bern(theta) || Bern(theta0)), theta = rho*psi/(1-rho+rho*psi).
"""

import math
from collections.abc import Iterable

from chaffinch_stats import bernoulli, hypergeometric
from chaffinch_stats.checks import require_closed_unit, require_open_unit, require_positive
from chaffinch_stats.combine import harm_threshold, safe_threshold
from chaffinch_stats.count_gate import CountGate
from chaffinch_stats.counts import SAFE_RATE_FRACTIONS
from chaffinch_stats.one_sample import RateGate


def requests_to_reject(
    gate: CountGate, base_rate: float, ratio: float, share: float, gates: int, alpha: float
) -> float:
    """Return the expected requests of both arms until a canary `ratio` times as bad is called harmful; inf if never.

    Args:
        gate: the design.
        base_rate: bad requests per request of the baseline, 0 to 1.
        ratio: true rate ratio, above 0.
        share: the canary's share of the requests, strictly between 0 and 1.
        gates: number of gates sharing alpha.
        alpha: allowed probability of a false rollback.

    """
    per_request = _fisher_growth_per_request if gate.method == "Fisher" else _growth_per_request
    growth = [per_request(base_rate, ratio, share, gate.harm_ratio * m, gate.harm_ratio) for m in gate.harm_grid]
    goal = harm_threshold(gates, alpha) + math.log(len(gate.harm_grid))
    return _needed(goal, growth, gate.dispersion)


def requests_to_pass(gate: CountGate, base_rate: float, share: float, beta: float, ratio: float = 1.0) -> float:
    """Return the expected requests of both arms until a canary of true rate ratio `ratio` is called safe; inf if never.

    With `gate.safe_below` the shorter of the ways by ratio and by rate; each then carries half of the e-value.

    Args:
        gate: the design.
        base_rate: bad requests per request of the baseline, 0 to 1.
        share: the canary's share of the requests, strictly between 0 and 1.
        beta: allowed probability of a false promotion.
        ratio: true rate ratio, 1 for a canary like the baseline.

    """
    safe = [psi for psi in gate.safe_grid if psi < gate.margin_ratio]
    growth = [_growth_per_request(base_rate, ratio, share, psi, gate.margin_ratio) for psi in safe]
    goal = safe_threshold(beta)
    if gate.safe_below is None:
        return _needed(goal + math.log(len(safe)), growth, gate.dispersion)
    rates = [gate.safe_below * fraction for fraction in SAFE_RATE_FRACTIONS]
    canary_rate = min(1.0, base_rate * ratio)
    by_rate = [share * _growth_per_trial(canary_rate, rate, gate.safe_below) for rate in rates]
    return min(
        _needed(goal + math.log(2 * len(safe)), growth, gate.dispersion),
        _needed(goal + math.log(2 * len(rates)), by_rate, gate.dispersion),
    )


def rate_requests_to_reject(gate: RateGate, rate: float, gates: int, alpha: float) -> float:
    """Return the expected canary requests until a canary of bad rate `rate` fails the absolute gate; inf if never."""
    growth = [_growth_per_trial(rate, alternative, gate.max_ratio) for alternative in gate.harm_rates]
    return _needed(harm_threshold(gates, alpha) + math.log(len(growth)), growth, gate.dispersion)


def rate_requests_to_pass(gate: RateGate, rate: float, beta: float) -> float:
    """Return the expected canary requests until a canary of bad rate `rate` passes the absolute gate; inf if never."""
    growth = [_growth_per_trial(rate, alternative, gate.margin_rate) for alternative in gate.safe_rates]
    return _needed(safe_threshold(beta) + math.log(len(growth)), growth, gate.dispersion)


def _growth_per_request(base_rate: float, ratio: float, share: float, alternative: float, null: float) -> float:
    """Return the mean growth of log(factor(alternative; null)) per request of either arm, before tempering."""
    require_closed_unit(base_rate, "base_rate")
    require_positive(ratio, "ratio")
    require_open_unit(share, "share")
    canary_bad = share * min(1.0, base_rate * ratio)
    bad = canary_bad + (1.0 - share) * base_rate
    normalizer = math.log1p(share * (alternative - 1.0)) - math.log1p(share * (null - 1.0))
    return canary_bad * math.log(alternative / null) - bad * normalizer


def _fisher_growth_per_request(base_rate: float, ratio: float, share: float, alternative: float, null: float) -> float:
    """Return the same for ratios of odds; the limit of large intervals."""
    require_closed_unit(base_rate, "base_rate")
    require_positive(ratio, "ratio")
    require_open_unit(share, "share")
    canary_bad = share * min(1.0, base_rate * ratio)
    bad = canary_bad + (1.0 - share) * base_rate
    if not 0.0 < bad < 1.0:
        return 0.0
    normalizer = hypergeometric.growth(share, bad, alternative) - hypergeometric.growth(share, bad, null)
    return canary_bad * math.log(alternative / null) - normalizer


def _growth_per_trial(rate: float, alternative: float, null: float) -> float:
    """Return the mean growth of the log likelihood ratio per trial of true rate `rate`; -inf if it can die."""
    require_closed_unit(rate, "rate")
    on_bad, on_good = (bernoulli.log_factors(null, (alternative,), bad, 1, 1.0)[0] for bad in (1, 0))
    return (rate * on_bad if rate > 0.0 else 0.0) + (1.0 - rate) * on_good


def _needed(goal: float, growth: Iterable[float], dispersion: float) -> float:
    fastest = max(growth)
    return goal * dispersion / fastest if fastest > 0.0 else math.inf
