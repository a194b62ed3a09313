"""Bootstrap limits of metrics: resampling eight cells is resampling the requests, at the same cost for any number."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from chaffinch_shadow.analysis.rows import Floats
from chaffinch_stats.paired import Cells, Metric, NotAvailable

RESAMPLES = 1000
_MOST = 2**53  # the generator works in floats: above it counts would be rounded
_MOST_LOST = 0.01  # share of resamples in which a metric may have no value


@dataclass(frozen=True, slots=True)
class Resampled:
    """Spread of a difference over the resamples."""

    interval: tuple[float, float]
    standard_deviation: float


def differences(
    cells: Cells, alpha: float, seed: int, *, prevalence: Fraction | None = None, resamples: int = RESAMPLES
) -> Mapping[Metric, Resampled | NotAvailable]:
    """Return percentile limits of every metric's difference, candidate minus control.

    Draws the cells from the multinomial distribution of the observed ones, which is what drawing requests with
    replacement gives; reproducible by `seed`.
    """
    if cells.total == 0:
        return dict.fromkeys(Metric, NotAvailable("no labelled request"))
    if cells.total > _MOST:
        return dict.fromkeys(Metric, NotAvailable("more than 2**53 requests: the delta method is all that is needed"))
    n = cells.total
    drawn = np.random.default_rng(seed).multinomial(n, [count / n for count in cells.counts], size=resamples)
    weighted = drawn.astype(np.float64) if prevalence is None else _to_prevalence(drawn.astype(np.float64), prevalence)
    control = (weighted[:, 6] + weighted[:, 7], weighted[:, 4] + weighted[:, 5])
    candidate = (weighted[:, 5] + weighted[:, 7], weighted[:, 4] + weighted[:, 6])
    of_control = (*control, weighted[:, 2] + weighted[:, 3], weighted[:, 0] + weighted[:, 1])
    of_candidate = (*candidate, weighted[:, 1] + weighted[:, 3], weighted[:, 0] + weighted[:, 2])
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            metric: _spread(formula(*of_candidate) - formula(*of_control), alpha)
            for metric, formula in _FORMULAS.items()
        }


def _to_prevalence(drawn: Floats, prevalence: Fraction) -> Floats:
    share = float(prevalence)
    with np.errstate(divide="ignore", invalid="ignore"):
        low = drawn[:, :4] * ((1.0 - share) / drawn[:, :4].sum(axis=1, keepdims=True))
        high = drawn[:, 4:] * (share / drawn[:, 4:].sum(axis=1, keepdims=True))
    return np.concatenate([low, high], axis=1)


def _spread(values: Floats, alpha: float) -> Resampled | NotAvailable:
    known = values[np.isfinite(values)]
    if len(known) < (1.0 - _MOST_LOST) * len(values):
        return NotAvailable("the metric has no value in many resamples")
    ranked = np.sort(known)
    low, high = (_quantile(ranked, level) for level in (0.5 * alpha, 1.0 - 0.5 * alpha))
    return Resampled((low, high), float(known.std(ddof=1)))


def _quantile(ranked: Floats, level: float) -> float:
    place = level * (len(ranked) - 1)
    below = int(place)
    above = min(below + 1, len(ranked) - 1)
    return float(ranked[below] + (place - below) * (ranked[above] - ranked[below]))


def _mcc(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:
    margins: Floats = np.sqrt(tp + fn) * np.sqrt(fp + tn) * np.sqrt(tp + fp) * np.sqrt(fn + tn)
    return (tp * tn - fp * fn) / margins


def _kappa(tp: Floats, fn: Floats, fp: Floats, tn: Floats) -> Floats:
    return 2.0 * (tp * tn - fp * fn) / ((tp + fn) * (fn + tn) + (tp + fp) * (fp + tn))


_FORMULAS: dict[Metric, Callable[[Floats, Floats, Floats, Floats], Floats]] = {
    Metric.ACCURACY: lambda tp, fn, fp, tn: (tp + tn) / (tp + fn + fp + tn),
    Metric.BALANCED_ACCURACY: lambda tp, fn, fp, tn: 0.5 * (tp / (tp + fn) + tn / (fp + tn)),
    Metric.RECALL: lambda tp, fn, _fp, _tn: tp / (tp + fn),
    Metric.FALSE_POSITIVE_RATE: lambda _tp, _fn, fp, tn: fp / (fp + tn),
    Metric.PRECISION: lambda tp, _fn, fp, _tn: tp / (tp + fp),
    Metric.F1: lambda tp, fn, fp, _tn: 2.0 * tp / (2.0 * tp + fn + fp),
    Metric.KAPPA: _kappa,
    Metric.MCC: _mcc,
}
