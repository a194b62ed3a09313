"""Objectives: the canary alone against an absolute limit, judged at any time in every mode. Pure."""

from chaffinch_operator.canary.judgement import Changes, Thresholds, counted, restored, share, short, verdict_of
from chaffinch_operator.canary.snapshot import GateReading
from chaffinch_operator.canary.status import GateStatus
from chaffinch_stats import ArmCounts, RateEvidence, RateGate, one_sample


def fold_rate(name: str, gate: RateGate, old: GateStatus, value: GateReading, thresholds: Thresholds) -> Changes:
    """One more interval."""
    evidence = restored(lambda state: one_sample.from_state(gate, state), old, RateEvidence.start(gate))
    evidence = one_sample.update(evidence, gate, ArmCounts(value.canary.bad, value.canary.total))
    harm, safe = one_sample.log_e_harm(evidence, gate), one_sample.log_e_safe(evidence, gate)
    p = one_sample.p_value(evidence)
    low, high = one_sample.confidence_sequence(evidence, gate, thresholds.alpha)
    seen = evidence.seen
    return {
        "verdict": verdict_of(p, harm, safe, thresholds, seen.total),
        "canary": counted(seen),
        "ratio": short(seen.bad / seen.total) if seen.total else "",
        "interval": [short(low), short(high)],
        "p_value": short(p),
        "log_e_harm": short(harm),
        "log_e_safe": short(safe),
        "evidence": one_sample.to_state(evidence),
        "message": f"{name}: canary {share(seen)}, at most {gate.max_ratio:.3%} allowed, p = {p:.2g}",
    }
