"""The formulas of chaffinch_stats once more, in numpy over many runs at a time, for simulations.

Written from the papers, not from the package: `test_vector_engine.py` holds the two against each other.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import special, stats

from chaffinch_stats import CountGate

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Runs:
    """Counts per run and interval; bad counts have shape (runs, looks), totals (looks,)."""

    canary_bad: Integers
    baseline_bad: Integers
    canary_total: Integers
    baseline_total: Integers

    @property
    def share(self) -> Floats:
        """Canary's share of the traffic, shape (looks,)."""
        return self.canary_total / (self.canary_total + self.baseline_total)


def draw(
    rng: np.random.Generator, runs: int, requests: int, share: Floats, canary_rate: Floats, baseline_rate: Floats
) -> Runs:
    """Draw binomial bad counts; `share` and the rates have shape (looks,) or (runs, looks) for the rates."""
    canary_total = np.rint(requests * share).astype(np.int64)
    baseline_total = requests - canary_total
    size = (runs, share.size)
    return Runs(
        rng.binomial(canary_total, np.broadcast_to(canary_rate, size)),
        rng.binomial(baseline_total, np.broadcast_to(baseline_rate, size)),
        canary_total,
        baseline_total,
    )


def log_factors(runs: Runs, alternatives: Floats, null: float, dispersion: float = 1.0) -> Floats:
    """Cumulative log factor of every run, look and alternative: shape (runs, looks, alternatives)."""
    bad = runs.canary_bad + runs.baseline_bad
    share = runs.share[:, None]
    normalizer = np.log((1 - share + share * null) / (1 - share + share * alternatives))
    step = runs.canary_bad[:, :, None] * np.log(alternatives / null) + bad[:, :, None] * normalizer
    return np.cumsum(step, axis=1) / dispersion


def log_mean(logs: Floats) -> Floats:
    """Log of the mean e-value over the last axis."""
    return np.asarray(special.logsumexp(logs, axis=-1) - np.log(logs.shape[-1]))


def log_e_harm(runs: Runs, gate: CountGate) -> Floats:
    """Log E_harm of every run and look."""
    alternatives = gate.harm_ratio * np.array(gate.harm_grid)
    factors = fisher_log_factors if gate.method == "Fisher" else log_factors
    return log_mean(factors(runs, alternatives, gate.harm_ratio, gate.dispersion))


def fisher_log_factors(runs: Runs, alternatives: Floats, null: float, dispersion: float = 1.0) -> Floats:
    """The same for odds ratios: S(psi) from log-gamma sums over every table of the look, tabulated by its margin."""
    bad = runs.canary_bad + runs.baseline_bad
    step = runs.canary_bad[:, :, None] * np.log(alternatives / null)
    tables: dict[tuple[int, int], Floats] = {}
    for look, sizes in enumerate(zip(runs.canary_total.tolist(), runs.baseline_total.tolist(), strict=True)):
        if sizes not in tables:
            tables[sizes] = _normalizers(*sizes, np.append(alternatives, null))
        rows = tables[sizes][bad[:, look]]
        step[:, look, :] -= rows[:, :-1] - rows[:, -1:]
    return np.cumsum(step, axis=1) / dispersion


def _normalizers(canary: int, baseline: int, odds: Floats) -> Floats:
    """Return log Z of every margin and odds ratio, shape (canary + baseline + 1, len(odds))."""
    x, m = np.arange(canary + 1)[:, None], np.arange(canary + baseline + 1)[None, :]
    rest = np.clip(m - x, 0, baseline)
    weight = -special.betaln(x + 1, canary - x + 1) - np.log(canary + 1)
    weight = weight - special.betaln(rest + 1, baseline - rest + 1) - np.log(baseline + 1)
    weight = np.where(rest == m - x, weight, -np.inf)
    return np.stack([special.logsumexp(weight + x * np.log(psi), axis=0) for psi in odds], axis=1)


def log_e_safe(runs: Runs, gate: CountGate) -> Floats:
    """Log E_safe of every run and look, with the absolute half when the gate has `safe_below`."""
    grid = np.array(gate.safe_grid)
    by_ratio = log_mean(log_factors(runs, grid[grid < gate.margin_ratio], gate.margin_ratio, gate.dispersion))
    if gate.safe_below is None:
        return by_ratio
    by_rate = log_mean(
        rate_log_factors(
            runs.canary_bad, runs.canary_total, gate.safe_below * np.array([0, 0.25, 0.5, 0.8]), gate.safe_below
        )
        / gate.dispersion
    )
    return np.asarray(np.logaddexp(by_ratio, by_rate) - np.log(2.0))


def rate_log_factors(bad: Integers, total: Integers, alternatives: Floats, null: float) -> Floats:
    """Cumulative Bernoulli log likelihood ratios: shape (runs, looks, alternatives); 0*log(0) = 0."""
    x = np.cumsum(bad, axis=1)[:, :, None].astype(np.float64)
    good = np.cumsum(total)[None, :, None] - x
    here = special.xlogy(x, alternatives) + special.xlog1py(good, -alternatives)
    return np.asarray(here - special.xlogy(x, null) - special.xlog1py(good, -null))


def log_e_ratio(runs: Runs, ratio: float, points: int = 801) -> Floats:
    """Log e-value of "the ratio is `ratio`", log-normal mixture cut to [1/64, 64]; for runs with one fixed share."""
    span = np.log(64.0)
    u = np.linspace(-span, span, points)
    weights = stats.norm.pdf(u) / (stats.norm.cdf(span) - stats.norm.cdf(-span)) * (u[1] - u[0])
    share = runs.share[0]
    x = np.cumsum(runs.canary_bad, axis=1)
    m = x + np.cumsum(runs.baseline_bad, axis=1)
    rows = [
        special.logsumexp(xi[:, None] * u - mi[:, None] * np.log(1 - share + share * np.exp(u)), b=weights, axis=1)
        for xi, mi in zip(x, m, strict=True)
    ]
    return np.asarray(np.array(rows) - (x * np.log(ratio) - m * np.log(1 - share + share * ratio)))


def split_log_e(canary: Integers, total: Integers, share: float) -> Floats:
    """Log Bayes factor of cumulative splits of one stage against the intended share: shape (runs, looks)."""
    x = np.cumsum(canary, axis=1)
    rest = np.cumsum(total)[None, :] - x
    a, b = 100 * share, 100 * (1 - share)
    return np.asarray(
        special.betaln(a + x, b + rest) - special.betaln(a, b) - x * np.log(share) - rest * np.log1p(-share)
    )


def ever(log_e: Floats, log_threshold: float) -> int:
    """Number of runs whose e-value reaches the threshold at any look."""
    return int((log_e.max(axis=1) >= log_threshold).sum())


def first(log_e: Floats, log_threshold: float) -> Floats:
    """First look (from 1) at which each run reaches the threshold; inf where it never does."""
    reached = log_e >= log_threshold
    return np.where(reached.any(axis=1), reached.argmax(axis=1) + 1.0, np.inf)


def upper_bound(hits: int, runs: int, confidence: float = 0.999) -> float:
    """Exact one-sided upper confidence bound of a probability (Clopper and Pearson 1934)."""
    return float(stats.beta.ppf(confidence, hits + 1, runs - hits)) if hits < runs else 1.0


def group_z(runs: Runs) -> Floats:
    """Cumulative Cochran-Mantel-Haenszel z of every run and look, its skewness taken out by the cube root."""
    total, share = runs.canary_total + runs.baseline_total, runs.share
    bad = runs.canary_bad + runs.baseline_bad
    rate = bad / total
    binomial = rate * (1 - rate) * (1 - 2 * rate)
    third = (1 - share) ** 3 * runs.canary_total * binomial - share**3 * runs.baseline_total * binomial
    variance = bad * (total - bad) * share * (1 - share) / (total - 1)
    spread = np.sqrt(np.maximum(np.cumsum(variance, axis=1), 1e-12))
    z = np.cumsum(runs.canary_bad - bad * share, axis=1) / spread
    skew = np.cumsum(third, axis=1) / spread**3
    safe = np.where(np.abs(skew) < 1e-6, 1e-6, skew)
    return np.asarray((np.cbrt(np.maximum(0, 1 + safe * z / 2)) - 1 + safe**2 / 36) * 6 / safe)


def requests_for(information: float, share: float, base: float, looks: int) -> int:
    """Requests of both arms per look at which equal arms gather the information over all looks."""
    return round(information / looks / (share * (1 - share) * base * (1 - base)))
