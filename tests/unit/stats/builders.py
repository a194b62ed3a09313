"""Short forms for the records the statistics tests are about."""

from collections.abc import Iterable

from chaffinch_stats import ArmCounts, CountEvidence, CountGate, Interval, update

GATE = CountGate()


def interval(canary_bad: int, canary_total: int, baseline_bad: int, baseline_total: int) -> Interval:
    """Two arms over one interval."""
    return Interval(ArmCounts(canary_bad, canary_total), ArmCounts(baseline_bad, baseline_total))


def after(intervals: Iterable[Interval], gate: CountGate = GATE) -> CountEvidence:
    """Evidence of a gate after the intervals."""
    evidence = CountEvidence.start(gate)
    for each in intervals:
        evidence = update(evidence, gate, each)
    return evidence


def shared(canary_bad: int, bad: int, share: float, requests: int = 1_000_000) -> Interval:
    """One interval with `bad` bad events of both arms, at an exact canary share."""
    canary_total = round(requests * share)
    return interval(canary_bad, canary_total, bad - canary_bad, requests - canary_total)
