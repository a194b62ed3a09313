"""Rules that release tools and their users apply today, restated by us in a few lines each; none is a tool's code.

They see the same counts as our gates. Levels and limits are those of the tools' examples.
"""

import numpy as np
from scipy import stats

from perf.simulations.engine import Bools
from unit.stats.vector_engine import Floats, Integers, Runs

CRITICAL = float(stats.chi2.ppf(0.95, 1))


def chi_square(canary: Floats, canary_total: Floats, baseline: Floats, baseline_total: Floats) -> Floats:
    """Pearson's chi-square of 2x2 tables, no correction; 0 where a margin is empty."""
    total, bad = canary_total + baseline_total, canary + baseline
    difference = canary * baseline_total - baseline * canary_total
    below = canary_total * baseline_total * bad * (total - bad)
    return np.asarray(total * difference**2 / np.where(below > 0, below, np.inf))


def cumulative_chi_square(runs: Runs) -> Floats:
    """Chi-square of all counts so far, at every look: pooled over weights."""
    canary, baseline = (np.cumsum(x, axis=1).astype(float) for x in (runs.canary_bad, runs.baseline_bad))
    totals = (np.cumsum(n).astype(float) for n in (runs.canary_total, runs.baseline_total))
    canary_total, baseline_total = totals
    return chi_square(canary, canary_total, baseline, baseline_total)


def pooled_worse(runs: Runs) -> Floats:
    """The same where the canary looks worse, else 0."""
    rates = (
        np.cumsum(bad, axis=1) / np.cumsum(total)
        for bad, total in ((runs.canary_bad, runs.canary_total), (runs.baseline_bad, runs.baseline_total))
    )
    canary, baseline = rates
    return np.where(canary > baseline, cumulative_chi_square(runs), 0.0)


def interval_chi_square(runs: Runs) -> Floats:
    """Chi-square of every interval on its own."""
    arms = (runs.canary_bad, runs.canary_total, runs.baseline_bad, runs.baseline_total)
    return chi_square(*(np.asarray(x, dtype=float) for x in arms))


def more_failures_than(limit: int, failed: Bools) -> Bools:
    """Argo Rollouts' failureLimit: the analysis fails with the failure after `limit`."""
    return np.asarray(failed.sum(axis=1) > limit)


def failed_checks(failed: Bools, passes_needed: int, threshold: int) -> Bools:
    """Flagger's failedChecks: rolled back when `threshold` checks failed before `passes_needed` passed."""
    failures, passes = np.cumsum(failed, axis=1), np.cumsum(~failed, axis=1)
    return np.asarray(((failures >= threshold) & (passes < passes_needed)).any(axis=1))


def too_many_bad(bad: Integers, total: Integers | int, objective: float) -> Bools:
    """A success rate below the objective, interval by interval."""
    return np.asarray(1 - bad / total < objective)


def cochran_mantel_haenszel(runs: Runs) -> Floats:
    """The stratified chi-square at every look."""
    total, bad = runs.canary_total + runs.baseline_total, runs.canary_bad + runs.baseline_bad
    variance = np.cumsum(bad * (total - bad) * runs.share * (1 - runs.share) / (total - 1), axis=1)
    return np.asarray(np.cumsum(runs.canary_bad - bad * runs.share, axis=1) ** 2 / np.maximum(variance, 1e-300))


def benjamini_hochberg(statistics: Floats, level: float = 0.05) -> Bools:
    """Whether the procedure rejects any of the metrics; shape (metrics, ...), chi-squares of one degree."""
    p = np.sort(stats.chi2.sf(statistics, 1), axis=0)
    ranks = np.arange(1, p.shape[0] + 1).reshape(-1, *[1] * (p.ndim - 1))
    return np.asarray((p <= level * ranks / p.shape[0]).any(axis=0))


def mann_whitney_differs(canary: Floats, baseline: Floats, confidence: float = 0.98, tolerance: float = 0.25) -> Bools:
    """Kayenta's judge says High or Low: the shift's interval lies beyond a quarter of the Hodges-Lehmann estimate.

    Shape (runs, points); the interval by the normal approximation of the rank sum, as R's wilcox.test has it.
    """
    m, n = canary.shape[1], baseline.shape[1]
    spread = np.sqrt(m * n * (m + n + 1) / 12)
    low = max(0, int(np.floor(m * n / 2 - stats.norm.ppf(0.5 + confidence / 2) * spread)))
    differs = []
    for one, other in zip(canary, baseline, strict=True):
        shifts = np.sort((one[:, None] - other[None, :]).ravel())
        bound = tolerance * abs(np.median(shifts))
        differs.append(shifts[low] > bound or shifts[-1 - low] < -bound)
    return np.array(differs)
