"""The traffic split against the weights. Pure."""

from chaffinch_operator.canary.gates import ResolvedGate
from chaffinch_operator.canary.judgement import Changes, restored, short
from chaffinch_operator.canary.reasons import Verdict
from chaffinch_operator.canary.snapshot import GateReading
from chaffinch_operator.canary.status import Counts, GateStatus
from chaffinch_stats import SPLIT_ALPHA, SplitEvidence, sample_ratio


def fold_split(gate: ResolvedGate, old: GateStatus, value: GateReading, share: float | None) -> Changes:
    """One more interval; share: intended share of the canary, None where no split is intended."""
    if share is None or not 0.0 < share < 1.0:
        return {}
    evidence = restored(sample_ratio.from_state, old, SplitEvidence.start())
    evidence = sample_ratio.update(evidence, value.canary.total, value.baseline.total, share)
    p = sample_ratio.p_value(evidence)
    seen = Counts(bad=old.canary.total + value.canary.total, total=old.canary.total + value.canary.total)
    rest = Counts(bad=old.baseline.total + value.baseline.total, total=old.baseline.total + value.baseline.total)
    off = p <= SPLIT_ALPHA
    verdict = Verdict.INCONCLUSIVE if off else Verdict.PASS if seen.total + rest.total else Verdict.NO_DATA
    message = (
        f"{gate.name}: the traffic split is not what the weights say (p = {p:.2g}); nothing can be concluded"
        if off
        else f"{gate.name}: {seen.total:,} of {seen.total + rest.total:,} requests went to the canary, "
        "as the weights say"
    )
    return {
        "verdict": verdict,
        "canary": seen,
        "baseline": rest,
        "p_value": short(p),
        "evidence": sample_ratio.to_state(evidence),
        "message": message,
    }
