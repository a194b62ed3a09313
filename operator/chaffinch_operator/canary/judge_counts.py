"""Ratios judged at any time: two arms, by the Poisson or the Fisher factor. Pure."""

from chaffinch_operator.canary.gates import ResolvedGate
from chaffinch_operator.canary.judgement import Changes, Thresholds, counted, restored, share, short, times, verdict_of
from chaffinch_operator.canary.snapshot import GateReading
from chaffinch_operator.canary.status import GateStatus
from chaffinch_stats import ArmCounts, CountEvidence, CountGate, Interval, counts


def fold_count(
    told: ResolvedGate, gate: CountGate, old: GateStatus, value: GateReading, thresholds: Thresholds
) -> Changes:
    """One more interval."""
    evidence = restored(lambda state: counts.from_state(gate, state), old, CountEvidence.start(gate))
    evidence = counts.update(evidence, gate, interval(value))
    harm, safe, p = counts.log_e_harm(evidence, gate), counts.log_e_safe(evidence, gate), counts.p_value(evidence)
    estimate, (low, high) = counts.ratio_and_limits(evidence, gate, thresholds.alpha)
    arms = f"canary {share(evidence.canary)}, {told.compared} {share(evidence.baseline)}"
    return {
        "verdict": verdict_of(p, harm, safe, thresholds, evidence.canary.total),
        "canary": counted(evidence.canary),
        "baseline": counted(evidence.baseline),
        "ratio": "" if estimate is None else short(estimate),
        "interval": [short(low), short(high)],
        "p_value": short(p),
        "log_e_harm": short(harm),
        "log_e_safe": short(safe),
        "evidence": counts.to_state(evidence),
        "message": f"{told.name}: {arms}{times(estimate)}, p = {p:.2g}",
    }


def interval(value: GateReading) -> Interval:
    """The reading as the statistics have it."""
    return Interval(
        canary=ArmCounts(value.canary.bad, value.canary.total),
        baseline=ArmCounts(value.baseline.bad, value.baseline.total),
    )
