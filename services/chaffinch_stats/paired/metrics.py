"""Metrics of two versions on the same labelled requests, each with limits for control, candidate and difference.

Values are rational numbers of the counts until the last division (Matthews' root to two hundred bits). Standard errors
are by the delta method on the eight cells, so they know that the requests are the same: with x the counts and g the
gradient of a metric that does not change when its counts are scaled, the variance is sum x g**2. Every metric here has
that property, also when the counts of each label are weighted to a stated prevalence.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from chaffinch_stats.checks import require_open_unit
from chaffinch_stats.paired import difference as rates
from chaffinch_stats.paired.absent import NotAvailable
from chaffinch_stats.paired.cells import CELLS, Cells, Pairs
from chaffinch_stats.paired.formulas import Metric, gradient, value
from chaffinch_stats.paired.tails import normal_quantile

Limits = tuple[float, float]
Weights = tuple[Fraction, Fraction]
VarianceOf = Callable[[Sequence[float]], float]
"""Variance of a sum over the requests, from its value per cell, shape (8,); for clustered requests."""
_ROUNDING = 1e-14  # times 1/sqrt(n): standard errors below it are 0 but for rounding
_UNWEIGHTED = (Fraction(1), Fraction(1))


@dataclass(frozen=True, slots=True)
class Estimate:
    """One metric of both versions. Differences are candidate minus control.

    Attributes:
        metric: which.
        control: its value for the control.
        candidate: its value for the candidate.
        difference: exact before it was rounded to a float.
        control_interval: limits for the control.
        candidate_interval: limits for the candidate.
        interval: limits for the difference.
        standard_error: of the difference.
        method: how the limits of the difference were found.

    """

    metric: Metric
    control: float | NotAvailable
    candidate: float | NotAvailable
    difference: float | NotAvailable
    control_interval: Limits | NotAvailable
    candidate_interval: Limits | NotAvailable
    interval: Limits | NotAvailable
    standard_error: float | NotAvailable
    method: str


def weights_for(cells: Cells, prevalence: Fraction | None) -> Weights | NotAvailable:
    """Return the factors of label 0 and label 1 that give the labels a stated prevalence of label 1."""
    if prevalence is None:
        return _UNWEIGHTED
    require_open_unit(float(prevalence), "prevalence")
    for label in (0, 1):
        if cells.with_label(label) == 0:
            return NotAvailable(f"no request of label {label}")
    return (1 - prevalence) / cells.with_label(0), prevalence / cells.with_label(1)


def estimate(
    metric: Metric,
    cells: Cells,
    *,
    alpha: float = 0.05,
    prevalence: Fraction | None = None,
    variance_of: VarianceOf | None = None,
) -> Estimate:
    """Return a metric of both versions.

    Recall, false positive rate and accuracy have Wilson's limits, and Newcombe's for the difference; the others the
    delta method's (Matthews' coefficient alone by Fisher's z).

    Args:
        metric: which.
        cells: the counts.
        alpha: 1 - confidence of each interval.
        prevalence: the share of label 1 that the metric is to hold for; that of the requests if None.
        variance_of: for requests that are not independent; then all limits are the delta method's.

    """
    weights = weights_for(cells, prevalence)
    if isinstance(weights, NotAvailable):
        if metric not in (Metric.RECALL, Metric.FALSE_POSITIVE_RATE):
            return _absent(metric, weights)
        weights = _UNWEIGHTED
    of_control = value(metric, cells.confusion(candidate=False, weights=weights))
    of_candidate = value(metric, cells.confusion(candidate=True, weights=weights))
    if isinstance(of_control, NotAvailable) or isinstance(of_candidate, NotAvailable):
        return _half_absent(metric, of_control, of_candidate)
    values = _Values(float(of_control), float(of_candidate), float(of_candidate - of_control))
    errors = _errors(metric, cells, weights, variance_of)
    pairs = _pairs_of(metric, cells, prevalence)
    if pairs is not None and variance_of is None:
        return _of_rates(metric, values, pairs, errors.difference, alpha)
    if cells.verdicts.discordant == 0 and variance_of is None:
        smoothed = _errors(metric, _with_a_pair_each_way(cells), weights, None)
        return _by_delta(metric, values, replace(errors, difference=smoothed.difference), alpha, "DeltaSmoothed")
    return _by_delta(metric, values, errors, alpha, "Delta" if variance_of is None else "DeltaClustered")


@dataclass(frozen=True, slots=True)
class _Values:
    """Numbers of control, candidate and difference: values, or standard errors."""

    control: float
    candidate: float
    difference: float


def _of_rates(metric: Metric, values: _Values, pairs: Pairs, error: float, alpha: float) -> Estimate:
    return Estimate(
        metric,
        values.control,
        values.candidate,
        values.difference,
        rates.wilson(pairs.control, pairs.total, alpha),
        rates.wilson(pairs.candidate, pairs.total, alpha),
        rates.newcombe(pairs, alpha),
        error,
        "Newcombe",
    )


def _by_delta(metric: Metric, values: _Values, errors: _Values, alpha: float, method: str) -> Estimate:
    return Estimate(
        metric,
        values.control,
        values.candidate,
        values.difference,
        _single(metric, values.control, errors.control, alpha),
        _single(metric, values.candidate, errors.candidate, alpha),
        _wald(values.difference, errors.difference, alpha, -2.0, 2.0),
        errors.difference,
        method,
    )


def _absent(metric: Metric, why: NotAvailable) -> Estimate:
    return Estimate(metric, why, why, why, why, why, why, why, "None")


def _half_absent(metric: Metric, control: Fraction | NotAvailable, candidate: Fraction | NotAvailable) -> Estimate:
    """Return what is left when one version or both have no value."""
    why = control if isinstance(control, NotAvailable) else candidate
    if not isinstance(why, NotAvailable):
        raise TypeError("both values are there")
    numbers = [each if isinstance(each, NotAvailable) else float(each) for each in (control, candidate)]
    return Estimate(metric, numbers[0], numbers[1], why, why, why, why, why, "None")


def _pairs_of(metric: Metric, cells: Cells, prevalence: Fraction | None) -> Pairs | None:
    """Return the pairs whose rates the metric is, or None if it is not a rate."""
    if metric is Metric.RECALL:
        return cells.of_label(1)
    if metric is Metric.FALSE_POSITIVE_RATE:
        return cells.of_label(0)
    return cells.correct if metric is Metric.ACCURACY and prevalence is None else None


def pairs_of(metric: Metric, cells: Cells) -> Pairs | None:
    """Return the pairs of recall and false positive rate, for tests on them; None for other metrics."""
    return _pairs_of(metric, cells, prevalence=Fraction(1, 2))


def _with_a_pair_each_way(cells: Cells) -> Cells:
    """Return the cells with one more pair in each discordant cell of labels that are there (Bonett and Price 2012).

    Without any discordant pair the delta method sees no variance at all, as if the versions could not differ.
    """
    counts = list(cells.counts)
    for label in (0, 1):
        if cells.with_label(label):
            counts[4 * label + 1] += 1
            counts[4 * label + 2] += 1
    return Cells.of(counts)


def _single(metric: Metric, value: float, error: float, alpha: float) -> Limits | NotAvailable:
    if metric is Metric.MCC and error > 0.0 and abs(value) < 1.0:
        half = normal_quantile(1.0 - 0.5 * alpha) * error / (1.0 - value * value)
        middle = math.atanh(value)
        return math.tanh(middle - half), math.tanh(middle + half)
    return _wald(value, error, alpha, -1.0 if metric in (Metric.MCC, Metric.KAPPA) else 0.0, 1.0)


def _wald(value: float, error: float, alpha: float, lowest: float, highest: float) -> Limits | NotAvailable:
    if error == 0.0:
        return NotAvailable("the delta method finds no variance in these counts")
    half = normal_quantile(1.0 - 0.5 * alpha) * error
    return max(lowest, value - half), min(highest, value + half)


def _errors(metric: Metric, cells: Cells, weights: Weights, variance_of: VarianceOf | None) -> _Values:
    """Return the standard errors."""
    of_control, of_candidate = (influence(metric, cells, weights, candidate=which) for which in (False, True))
    of_difference = [b - a for a, b in zip(of_control, of_candidate, strict=True)]

    def independent(values: Sequence[float]) -> float:
        return math.fsum(count * each * each for count, each in zip(cells.counts, values, strict=True))

    variance = variance_of or independent
    rounding = _ROUNDING / math.sqrt(cells.total)
    found = [math.sqrt(variance(each)) for each in (of_control, of_candidate, of_difference)]
    return _Values(*(error if error > rounding else 0.0 for error in found))


def influence(metric: Metric, cells: Cells, weights: Weights, *, candidate: bool) -> list[float]:
    """Return by how much one more request in each cell moves the metric of one version; shape (8,)."""
    steps = gradient(metric, cells.confusion(candidate=candidate, weights=weights))
    scale = float(weights[0]), float(weights[1])
    bit = 0 if candidate else 1
    found = []
    for cell in range(CELLS):
        label, verdict = cell >> 2, cell >> bit & 1
        found.append(steps[2 * (1 - label) + 1 - verdict] * scale[label])
    return found
