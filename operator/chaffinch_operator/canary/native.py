"""From native histograms to events slower than a threshold. Pure: a threshold inside a bucket is refused, not guessed.

Boundaries of exponential buckets are powers of 2^(2^-schema): 0.25, 0.5, 1, 2 are boundaries of every schema from 0 on.
A schema may become coarser at any time; counts stay exact as long as the threshold is a boundary of the new one, too.
"""

import math

from chaffinch_operator.canary.intake import LE, UnusableError
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.sources import Native
from chaffinch_operator.ports.queries import Histogram, Track

_SCHEMAS = range(-4, 9)
_CLOSE = 1e-9


def as_buckets(source: Native, tracks: list[Track]) -> list[Track]:
    """The two buckets of a classic histogram, at the threshold and at infinity, that each native one stands for.

    UnusableError where the threshold is no boundary, or where series are no native histograms.
    """
    out = []
    for track in tracks:
        if track.values:
            raise UnusableError(
                Reason.BAD_QUERY,
                f"{source.histogram} has plain values, no native histogram: use latency.format: Classic, or let "
                "Prometheus scrape native histograms",
            )
        fast = []
        for one in track.histograms:
            _check(source, one)
            fast.append(sum(count for _, right, count in one.buckets if _at_most(right, source.threshold)))
        out.append(Track({**track.labels, LE: repr(source.threshold)}, track.times, fast))
        out.append(Track({**track.labels, LE: "+Inf"}, track.times, [one.count for one in track.histograms]))
    return out


def neighbours(threshold: float, histogram: Histogram) -> tuple[float, float] | None:
    """The boundaries around a threshold that is none; None where it is one, or nothing says that it is not."""
    for left, right, _ in histogram.buckets:
        if not _at_most(threshold, left) and not _at_most(right, threshold):
            return left, right
    base = _base(histogram)
    if base is None:
        return None
    steps = math.log(threshold, base)
    if abs(steps - round(steps)) < _CLOSE * max(1.0, abs(steps)):
        return None
    return base ** math.floor(steps), base ** math.ceil(steps)


def _at_most(one: float, other: float) -> bool:
    """Boundaries are roots of two, written with sixteen digits: what differs in the last of them is equal."""
    return one <= other or math.isclose(one, other, rel_tol=_CLOSE)


def _check(source: Native, histogram: Histogram) -> None:
    around = neighbours(source.threshold, histogram)
    if around is not None:
        low, high = around
        powers = 2.0 ** math.floor(math.log2(source.threshold)), 2.0 ** math.ceil(math.log2(source.threshold))
        raise UnusableError(
            Reason.BAD_QUERY,
            f"threshold: {source.histogram} has no bucket boundary at {source.threshold:g}, only {low:g} and {high:g} "
            f"around it: choose a power of two, such as {powers[0]:g} or {powers[1]:g}",
        )


def _base(histogram: Histogram) -> float | None:
    """By what factor exponential buckets grow; None for custom ones, or where there is no bucket to see it from."""
    for left, right, _ in histogram.buckets:
        if left > 0 and math.isfinite(right):
            doubling = math.log2(right / left)
            schema = -math.log2(doubling)
            if round(schema) in _SCHEMAS and abs(schema - round(schema)) < 1e-6:
                return float(2.0 ** (2.0 ** -round(schema)))
            return None
    return None
