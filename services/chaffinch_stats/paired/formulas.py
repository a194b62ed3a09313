"""Formulas of the metrics of one version, and their derivatives.

Values are rational numbers of the counts; only Matthews' root is rounded, to two hundred bits.
"""

import math
from collections.abc import Callable
from enum import StrEnum
from fractions import Fraction

from chaffinch_stats.paired.absent import NotAvailable
from chaffinch_stats.paired.cells import Confusion

_ROOT_BITS = 400
Four = tuple[float, float, float, float]


class Metric(StrEnum):
    """What can be compared, by the name that it has in reports."""

    ACCURACY = "accuracy"
    BALANCED_ACCURACY = "balancedAccuracy"
    RECALL = "recall"
    FALSE_POSITIVE_RATE = "falsePositiveRate"
    PRECISION = "precision"
    F1 = "f1"
    MCC = "mcc"
    KAPPA = "kappa"

    @property
    def better_when(self) -> int:
        """1 when higher is better, -1 when lower is."""
        return -1 if self is Metric.FALSE_POSITIVE_RATE else 1


def value(metric: Metric, of: Confusion) -> Fraction | NotAvailable:
    """Return the metric of one version."""
    missing = _missing(metric, of)
    return _VALUES[metric](of) if missing is None else missing


def gradient(metric: Metric, of: Confusion) -> Four:
    """Return the derivatives of an available metric with respect to tp, fn, fp and tn."""
    return _GRADIENTS[metric](float(of.tp), float(of.fn), float(of.fp), float(of.tn))


_NEEDS_ATTACKS = frozenset(Metric) - {Metric.ACCURACY, Metric.FALSE_POSITIVE_RATE}
_NEEDS_BENIGN = frozenset({Metric.FALSE_POSITIVE_RATE, Metric.BALANCED_ACCURACY, Metric.MCC, Metric.KAPPA})
_NEEDS_VERDICTS = frozenset({Metric.PRECISION, Metric.MCC})


def _missing(metric: Metric, of: Confusion) -> NotAvailable | None:
    """Return what a metric lacks: requests of a label that it is about, or verdicts of a kind."""
    lacking = (
        (of.tp + of.fn + of.fp + of.tn == 0, "no labelled request"),
        (metric in _NEEDS_ATTACKS and of.tp + of.fn == 0, "no request of label 1"),
        (metric in _NEEDS_BENIGN and of.fp + of.tn == 0, "no request of label 0"),
        (metric in _NEEDS_VERDICTS and of.tp + of.fp == 0, "no verdict of 1"),
        (metric is Metric.MCC and of.fn + of.tn == 0, "no verdict of 0"),
    )
    return next((NotAvailable(why) for is_lacking, why in lacking if is_lacking), None)


def _accuracy(of: Confusion) -> Fraction:
    return (of.tp + of.tn) / (of.tp + of.fn + of.fp + of.tn)


def _balanced_accuracy(of: Confusion) -> Fraction:
    return (of.tp / (of.tp + of.fn) + of.tn / (of.fp + of.tn)) / 2


def _f1(of: Confusion) -> Fraction:
    return 2 * of.tp / (2 * of.tp + of.fn + of.fp)


def _kappa(of: Confusion) -> Fraction:
    chance = (of.tp + of.fn) * (of.fn + of.tn) + (of.tp + of.fp) * (of.fp + of.tn)
    return 2 * (of.tp * of.tn - of.fp * of.fn) / chance


def _mcc(of: Confusion) -> Fraction:
    margins = (of.tp + of.fn) * (of.fp + of.tn) * (of.tp + of.fp) * (of.fn + of.tn)
    return (of.tp * of.tn - of.fp * of.fn) / _root(margins)


_VALUES: dict[Metric, Callable[[Confusion], Fraction]] = {
    Metric.ACCURACY: _accuracy,
    Metric.BALANCED_ACCURACY: _balanced_accuracy,
    Metric.RECALL: lambda of: of.tp / (of.tp + of.fn),
    Metric.FALSE_POSITIVE_RATE: lambda of: of.fp / (of.fp + of.tn),
    Metric.PRECISION: lambda of: of.tp / (of.tp + of.fp),
    Metric.F1: _f1,
    Metric.KAPPA: _kappa,
    Metric.MCC: _mcc,
}


def _root(square: Fraction) -> Fraction:
    """Return the square root, exact where it is rational."""
    product = square.numerator * square.denominator
    whole = math.isqrt(product)
    if whole * whole == product:
        return Fraction(whole, square.denominator)
    return Fraction(math.isqrt(product << _ROOT_BITS), square.denominator << (_ROOT_BITS // 2))


def _accuracy_gradient(tp: float, fn: float, fp: float, tn: float) -> Four:
    total = tp + fn + fp + tn
    right, wrong = (fn + fp) / total / total, -(tp + tn) / total / total
    return right, wrong, wrong, right


def _rate_gradient(event: float, rest: float) -> tuple[float, float]:
    """Return the derivatives of event/(event + rest)."""
    total = event + rest
    return rest / total / total, -event / total / total


def _balanced_accuracy_gradient(tp: float, fn: float, fp: float, tn: float) -> Four:
    (d_tp, d_fn), (d_tn, d_fp) = _rate_gradient(tp, fn), _rate_gradient(tn, fp)
    return 0.5 * d_tp, 0.5 * d_fn, 0.5 * d_fp, 0.5 * d_tn


def _precision_gradient(tp: float, _fn: float, fp: float, _tn: float) -> Four:
    d_tp, d_fp = _rate_gradient(tp, fp)
    return d_tp, 0.0, d_fp, 0.0


def _f1_gradient(tp: float, fn: float, fp: float, _tn: float) -> Four:
    whole = 2.0 * tp + fn + fp
    wrong = -2.0 * tp / whole / whole
    return 2.0 * (fn + fp) / whole / whole, wrong, wrong, 0.0


def _kappa_gradient(tp: float, fn: float, fp: float, tn: float) -> Four:
    positives, negatives, flagged, passed = tp + fn, fp + tn, tp + fp, fn + tn
    chance = positives * passed + flagged * negatives
    value = 2.0 * (tp * tn - fp * fn) / chance
    return (
        (2.0 * tn - value * (passed + negatives)) / chance,
        (-2.0 * fp - value * (passed + positives)) / chance,
        (-2.0 * fn - value * (negatives + flagged)) / chance,
        (2.0 * tp - value * (flagged + positives)) / chance,
    )


def _mcc_gradient(tp: float, fn: float, fp: float, tn: float) -> Four:
    positives, negatives, flagged, passed = tp + fn, fp + tn, tp + fp, fn + tn
    root = math.sqrt(positives) * math.sqrt(negatives) * math.sqrt(flagged) * math.sqrt(passed)
    half = 0.5 * (tp * tn - fp * fn) / root
    return (
        tn / root - half * (1.0 / positives + 1.0 / flagged),
        -fp / root - half * (1.0 / positives + 1.0 / passed),
        -fn / root - half * (1.0 / negatives + 1.0 / flagged),
        tp / root - half * (1.0 / negatives + 1.0 / passed),
    )


_GRADIENTS: dict[Metric, Callable[[float, float, float, float], Four]] = {
    Metric.ACCURACY: _accuracy_gradient,
    Metric.BALANCED_ACCURACY: _balanced_accuracy_gradient,
    Metric.RECALL: lambda tp, fn, _fp, _tn: (*_rate_gradient(tp, fn), 0.0, 0.0),
    Metric.FALSE_POSITIVE_RATE: lambda _tp, _fn, fp, tn: (0.0, 0.0, *_rate_gradient(fp, tn)),
    Metric.PRECISION: _precision_gradient,
    Metric.F1: _f1_gradient,
    Metric.KAPPA: _kappa_gradient,
    Metric.MCC: _mcc_gradient,
}
