"""How much more the counts of two equal arms differ than chance allows, from A/A history.

Requests are not independent: clients retry, pods stall, minutes have moods. Then the difference of two arms has phi
times the variance that counting explains, and evidence must be tempered by phi (`CountGate.dispersion`). It is
measured before the rollout, on intervals in which both arms ran the same version, in blocks that outlast the memory of
the noise. Estimated from the rollout's own intervals it would be too noisy, and void.

With two hours of one-minute intervals, noise of sigma 0.3 in each arm and an autocorrelation of 0.8 a minute, gates
tempered by this phi roll back 3.3 % of equal canaries at alpha 5 % and find 97 % of doublings within an hour (measured;
with the variance of single minutes 22 % are rolled back, with phi as measured, without the allowance, 5 %).
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from chaffinch_stats.count_gate import Method
from chaffinch_stats.counts import ArmCounts, Interval

MIN_INTERVALS = 60
"""Fewer intervals with events in both arms' traffic are no history."""

MIN_BLOCKS = 12
"""The history holds at least this many blocks; their length is cut to it, and the record says so."""

MIN_TRIPLES = 9
"""Blocks of one arm are as long as leaves so many triples, as many as fit side by side: a thirteenth of the history."""

_BLOCK_TIMES = 3.0  # a block of three autocorrelation times holds all but a third of the slow part of the variance
_WINDOW = 5.0  # autocorrelations are summed up to this many autocorrelation times (Sokal 1997)
_MOST_LAGS = 500  # keeps the worst case, arms that are not equal, from costing seconds
_ALLOWANCE = 0.7  # standard errors of phi added to it: what makes the false alarms of an estimated phi those stated

_UNSEEN = ArmCounts(0, 0)


@dataclass(frozen=True, slots=True)
class Dispersion:
    """What a history says about noise.

    Attributes:
        phi: at least 1; what a gate is to be tempered by: `measured` with an allowance for its own error.
        measured: mean of the blocks' squared differences over the variance that counting explains.
        block_intervals: length of a block, in intervals.
        blocks: how many such blocks the history holds.
        intervals: those of the history that tell of the difference of the arms.
        autocorrelation_intervals: integrated autocorrelation time, at least 1; 1 is noise without memory.
        sufficient: enough intervals, and blocks no shorter than the autocorrelation time. If not, phi may be too small.

    """

    phi: float
    measured: float
    block_intervals: int
    blocks: int
    intervals: int
    autocorrelation_intervals: float
    sufficient: bool


def estimate(history: Sequence[Interval], method: Method = "Poisson") -> Dispersion:
    """Return the dispersion of an A/A history: equal versions in both arms, consecutive intervals of one length.

    Shares may differ and change. For method "Fisher", and for group sequential gates, the variance that counting
    explains is that of the whole table, smaller by the share of good requests.
    """
    terms = [_term(each, method) for each in history if _tells(each)]
    if not terms:
        return Dispersion(1.0, 1.0, 1, 0, 0, 1.0, sufficient=False)
    memory = _autocorrelation_time([difference / math.sqrt(variance) for difference, variance in terms])
    block = max(1, min(math.ceil(_BLOCK_TIMES * memory), len(terms) // MIN_BLOCKS))
    measured = _blocked(terms, block)
    error = math.sqrt(4.0 * block / (3.0 * len(terms)))  # of overlapping blocks (Meketon and Schmeiser 1984)
    phi = max(1.0, measured * (1.0 + _ALLOWANCE * error))
    enough = len(terms) >= MIN_INTERVALS and block >= memory
    return Dispersion(phi, measured, block, len(terms) // block, len(terms), memory, sufficient=enough)


def blocked(history: Sequence[Interval], block_intervals: int, method: Method = "Poisson") -> float:
    """Return the mean over overlapping blocks of (sum of x_c - rho*m)^2 / sum of m*rho*(1-rho).

    With equal exposure that is the mean of (x_c-x_b)^2/(x_c+x_b). 1 without any event.

    Raises:
        ValueError: blocks of less than one interval, or longer than the history.

    """
    terms = [_term(each, method) for each in history if _tells(each)]
    if not 1 <= block_intervals <= max(1, len(terms)):
        raise ValueError(f"block_intervals must be 1 to {len(terms)}, got {block_intervals}")
    return _blocked(terms, block_intervals) if terms else 1.0


def from_one_arm(history: Sequence[ArmCounts | None], method: Method = "Poisson") -> Dispersion:
    """Return the dispersion of a history of one arm: blocks of time against those before and after, as if two arms.

    The middle one of three blocks is held against the other two together, with a block left out on either side of it:
    a base rate that moves along a line cancels, and noise shared by neighbours does not hide. Of block lengths 1, 2,
    4, ... that leave MIN_TRIPLES the one with the largest variance counts, an allowance for its error included. What
    moves both arms alike in another way is taken for noise of one arm, so evidence is tempered more than it must be;
    noise that lasts longer than the longest block is seen in part. How it does is measured in docs/simulations.md.

    Args:
        history: shape (intervals,), consecutive intervals of one length; None where the arm was not seen.
        method: which variance counting explains, as for `estimate`.

    Returns:
        `blocks` are triples that do not overlap; the autocorrelation is not estimated and told as 1. Sufficient:
        MIN_INTERVALS such triples tell of a difference.

    """
    seen = sum(1 for arm in history if arm is not None)
    length, best, enough = 1, Dispersion(1.0, 1.0, 1, 0, seen, 1.0, sufficient=False), False
    while len(terms := list(_triples(history, length, method))) >= MIN_TRIPLES * length:
        triples = len(terms) // length
        enough = enough or triples >= MIN_INTERVALS
        measured = math.fsum([difference * difference / variance for difference, variance in terms]) / len(terms)
        phi = max(1.0, measured * (1.0 + _ALLOWANCE * math.sqrt(2.0 * length / len(terms))))
        if best.blocks == 0 or phi > best.phi:
            best = Dispersion(phi, measured, length, triples, seen, 1.0, sufficient=False)
        length *= 2
    return replace(best, sufficient=enough)


def _triples(history: Sequence[ArmCounts | None], length: int, method: Method) -> Iterator[tuple[float, float]]:
    """Return the terms of the first and last of three blocks against the middle one, for every start.

    None of a triple with a part that was not seen, and none that tells nothing.
    """
    arms = [arm or _UNSEEN for arm in history]
    bad = _sums([arm.bad for arm in arms], length)
    total = _sums([arm.total for arm in arms], length)
    gaps = _sums([arm is None for arm in history], length)
    apart = 2 * length
    for k in range(len(gaps) - 2 * apart):
        middle, last = k + apart, k + 2 * apart
        if gaps[k] or gaps[middle] or gaps[last]:
            continue
        outer = (bad[k] + bad[last], total[k] + total[last])
        if _told(*outer, bad[middle], total[middle]):
            yield _term_of(*outer, bad[middle], total[middle], method)


def _sums(values: Sequence[int], length: int) -> list[int]:
    """Return the sum of `length` values from every place on."""
    sums = [0, *itertools.accumulate(values)]
    return list(map(int.__sub__, sums[length:], sums))


def _tells(interval: Interval) -> bool:
    canary, baseline = interval.canary, interval.baseline
    return _told(canary.bad, canary.total, baseline.bad, baseline.total)


def _told(canary_bad: int, canary_total: int, baseline_bad: int, baseline_total: int) -> bool:
    """Whether the difference of the arms could have been another: traffic in both, some requests bad and some good."""
    some = canary_total > 0 and baseline_total > 0
    return some and 0 < canary_bad + baseline_bad < canary_total + baseline_total


def _term(interval: Interval, method: Method) -> tuple[float, float]:
    canary, baseline = interval.canary, interval.baseline
    return _term_of(canary.bad, canary.total, baseline.bad, baseline.total, method)


def _term_of(
    canary_bad: int, canary_total: int, baseline_bad: int, baseline_total: int, method: Method
) -> tuple[float, float]:
    """Return the difference of the arms and the variance that counting explains."""
    bad, total = canary_bad + baseline_bad, canary_total + baseline_total
    share = canary_total / total
    variance = bad * share * (1.0 - share)
    if method == "Fisher":
        variance *= (total - bad) / (total - 1)
    return canary_bad - share * bad, variance


def _blocked(terms: Sequence[tuple[float, float]], length: int) -> float:
    differences = [0.0, *itertools.accumulate(difference for difference, _ in terms)]
    variances = [0.0, *itertools.accumulate(variance for _, variance in terms)]
    ends = range(length, len(terms) + 1)
    ratios = [(differences[k] - differences[k - length]) ** 2 / (variances[k] - variances[k - length]) for k in ends]
    return math.fsum(ratios) / len(ratios)


def _autocorrelation_time(series: Sequence[float]) -> float:
    """Return 1 + 2*sum of autocorrelations up to the first lag that is _WINDOW times the sum, at least 1.

    The mean of the series is known to be 0: the arms are equal. Where no such lag is found, its whole length.
    """
    variance = math.fsum(x * x for x in series)
    if variance == 0.0:
        return 1.0
    time = 1.0
    for lag in range(1, min(len(series) // 2, _MOST_LAGS)):
        time += 2.0 * math.fsum(map(float.__mul__, series, series[lag:])) / variance
        if lag >= _WINDOW * max(time, 1.0):
            return max(time, 1.0)
    return float(len(series))
