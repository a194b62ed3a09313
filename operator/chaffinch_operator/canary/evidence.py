"""Fold closed intervals into the evidence of each gate, and say what the gates say. Pure.

Evidence is stratified by interval: an interval of one weight is one factor, so ramps and daily drift cancel. A gate
without usable data keeps the evidence it has and says NoData; it neither fails nor passes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from chaffinch_operator.canary import clock
from chaffinch_operator.canary.gates import Kind, ResolvedGate, number_of_tests
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Verdict
from chaffinch_operator.canary.snapshot import GateReading, IntervalReading
from chaffinch_operator.canary.status import Counts, GateStatus
from chaffinch_operator.conditions import cut
from chaffinch_stats import (
    SPLIT_ALPHA,
    ArmCounts,
    CountEvidence,
    CountGate,
    Interval,
    RateEvidence,
    RateGate,
    SplitEvidence,
    counts,
    harm_threshold,
    one_sample,
    safe_threshold,
    sample_ratio,
)

E = TypeVar("E")
_MESSAGE = 300
"""Characters of a gate's sentence: ten gates must fit in 16 KiB with their evidence."""
_WORST_FIRST = (Verdict.FAIL, Verdict.NO_DATA, Verdict.INCONCLUSIVE, Verdict.PASS)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When evidence is enough, in natural logs."""

    harm: float
    safe: float
    alpha: float

    @classmethod
    def of(cls, spec: CanaryRolloutSpec, gates: Sequence[ResolvedGate]) -> "Thresholds":
        """e-Bonferroni over the acting gates for harm; intersection-union for safety."""
        alpha = float(spec.analysis.alpha)
        return cls(harm_threshold(number_of_tests(gates), alpha), safe_threshold(float(spec.analysis.beta)), alpha)


def fold(
    gates: Sequence[ResolvedGate],
    old: Sequence[GateStatus],
    reading: IntervalReading,
    share: float | None,
    thresholds: Thresholds,
) -> tuple[GateStatus, ...]:
    """All gates after one more interval. share: intended share of the canary, None where no split is intended."""
    have = {g.name: g for g in old}
    values = {r.gate: r for r in reading.gates}
    first = next((values[g.name] for g in gates if g.kind is Kind.RATIO and g.name in values), None)
    out = []
    for gate in gates:
        status = fresh(gate, have.get(gate.name))
        value = values.get(gate.name) or (first if gate.kind is Kind.SPLIT else None)
        if value is not None and gate.kind is not Kind.RESTARTS:
            status = _fold_one(gate, status, value, share, thresholds)
            status = status.model_copy(update={"last_interval_end": clock.stamp(reading.end)})
        out.append(status)
    return tuple(out)


def fresh(gate: ResolvedGate, old: GateStatus | None) -> GateStatus:
    """The status to go on from: the old one, unless the gate was changed."""
    if old is not None and old.design == gate.design:
        return old.model_copy(update={"dry_run": gate.dry_run})
    return GateStatus(name=gate.name, design=gate.design, dry_run=gate.dry_run, message=f"{gate.name}: no data yet")


def judge_restarts(
    gates: Sequence[ResolvedGate], statuses: Sequence[GateStatus], restarts: int | None
) -> tuple[GateStatus, ...]:
    """Gates that count restarts, from the pods' status; None: there is no canary to look at."""
    have = {g.name: g for g in statuses}
    return tuple(
        _restarts(g, fresh(g, have.get(g.name)), restarts) if g.kind is Kind.RESTARTS else fresh(g, have.get(g.name))
        for g in gates
    )


def failed(statuses: Sequence[GateStatus]) -> GateStatus | None:
    """The first acting gate that proved harm."""
    return next((g for g in statuses if not g.dry_run and g.verdict is Verdict.FAIL), None)


def without_data(statuses: Sequence[GateStatus]) -> GateStatus | None:
    """The first acting gate without usable data."""
    return next((g for g in statuses if not g.dry_run and g.verdict is Verdict.NO_DATA), None)


def unproven(statuses: Sequence[GateStatus]) -> tuple[GateStatus, ...]:
    """Acting gates that do not say Pass."""
    return tuple(g for g in statuses if not g.dry_run and g.verdict is not Verdict.PASS)


def proven(statuses: Sequence[GateStatus]) -> bool:
    """Whether there is an acting gate and every one of them says Pass."""
    return worst(statuses) is Verdict.PASS


def worst(statuses: Sequence[GateStatus]) -> Verdict:
    """The worst verdict of the acting gates; NoData when there is none."""
    verdicts = {g.verdict for g in statuses if not g.dry_run}
    return next((v for v in _WORST_FIRST if v in verdicts), Verdict.NO_DATA)


def _restarts(gate: ResolvedGate, old: GateStatus, restarts: int | None) -> GateStatus:
    if restarts is None:
        message = f"{gate.name}: there are no pods of the canary"
        return old.model_copy(update={"verdict": Verdict.NO_DATA, "message": message})
    verdict = Verdict.FAIL if restarts > gate.max_restarts else Verdict.PASS
    return old.model_copy(
        update={
            "verdict": verdict,
            "canary": Counts(bad=restarts, total=restarts),
            "message": f"{gate.name}: the canary's containers restarted {restarts} times, {gate.max_restarts} allowed",
        }
    )


def _fold_one(
    gate: ResolvedGate, old: GateStatus, value: GateReading, share: float | None, thresholds: Thresholds
) -> GateStatus:
    if value.problem is not None:
        return old.model_copy(
            update={"verdict": Verdict.NO_DATA, "message": cut(f"{gate.name}: {value.problem.message}", _MESSAGE)}
        )
    if gate.kind is Kind.SPLIT:
        return _fold_split(gate, old, value, share)
    if gate.rate is not None:
        return _fold_rate(gate.name, gate.rate, old, value, thresholds)
    if gate.count is not None:
        return _fold_count(gate.name, gate.count, old, value, thresholds)
    return old


def _restored(read: Callable[[Sequence[str]], E], old: GateStatus, start: E) -> E:
    """The evidence so far. What is damaged, or of another version, proves nothing: the gate starts anew."""
    try:
        return read(old.evidence) if old.evidence else start
    except ValueError:
        return start


def _fold_count(name: str, gate: CountGate, old: GateStatus, value: GateReading, thresholds: Thresholds) -> GateStatus:
    evidence = _restored(lambda state: counts.from_state(gate, state), old, CountEvidence.start(gate))
    evidence = counts.update(
        evidence,
        gate,
        Interval(
            canary=ArmCounts(value.canary.bad, value.canary.total),
            baseline=ArmCounts(value.baseline.bad, value.baseline.total),
        ),
    )
    harm, safe, p = counts.log_e_harm(evidence, gate), counts.log_e_safe(evidence, gate), counts.p_value(evidence)
    low, high = counts.confidence_sequence(evidence, gate, thresholds.alpha)
    verdict = _verdict(p, harm, safe, thresholds, evidence.canary.total)
    estimate = counts.ratio(evidence)
    message = (
        f"{name}: canary {_share(evidence.canary)}, stable {_share(evidence.baseline)}{_times(estimate)}, p = {p:.2g}"
    )
    return old.model_copy(
        update={
            "verdict": verdict,
            "canary": _counts(evidence.canary),
            "baseline": _counts(evidence.baseline),
            "ratio": "" if estimate is None else _short(estimate),
            "interval": [_short(low), _short(high)],
            "p_value": _short(p),
            "log_e_harm": _short(harm),
            "log_e_safe": _short(safe),
            "dispersion": _short(gate.dispersion),
            "evidence": counts.to_state(evidence),
            "message": message,
        }
    )


def _fold_rate(name: str, gate: RateGate, old: GateStatus, value: GateReading, thresholds: Thresholds) -> GateStatus:
    evidence = _restored(lambda state: one_sample.from_state(gate, state), old, RateEvidence.start(gate))
    evidence = one_sample.update(evidence, gate, ArmCounts(value.canary.bad, value.canary.total))
    harm, safe = one_sample.log_e_harm(evidence, gate), one_sample.log_e_safe(evidence, gate)
    p = one_sample.p_value(evidence)
    low, high = one_sample.confidence_sequence(evidence, gate, thresholds.alpha)
    seen = evidence.seen
    return old.model_copy(
        update={
            "verdict": _verdict(p, harm, safe, thresholds, seen.total),
            "canary": _counts(seen),
            "ratio": _short(seen.bad / seen.total) if seen.total else "",
            "interval": [_short(low), _short(high)],
            "p_value": _short(p),
            "log_e_harm": _short(harm),
            "log_e_safe": _short(safe),
            "dispersion": _short(gate.dispersion),
            "evidence": one_sample.to_state(evidence),
            "message": f"{name}: canary {_share(seen)}, at most {gate.max_ratio:.3%} allowed, p = {p:.2g}",
        }
    )


def _fold_split(gate: ResolvedGate, old: GateStatus, value: GateReading, share: float | None) -> GateStatus:
    if share is None or not 0.0 < share < 1.0:
        return old
    evidence = _restored(sample_ratio.from_state, old, SplitEvidence.start())
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
    return old.model_copy(
        update={
            "verdict": verdict,
            "canary": seen,
            "baseline": rest,
            "p_value": _short(p),
            "evidence": sample_ratio.to_state(evidence),
            "message": message,
        }
    )


def _verdict(p: float, harm: float, safe: float, thresholds: Thresholds, canary_total: int) -> Verdict:
    if canary_total == 0:
        return Verdict.NO_DATA
    if max(harm, -math.log(p) if p > 0 else math.inf) >= thresholds.harm:
        return Verdict.FAIL
    return Verdict.PASS if safe >= thresholds.safe else Verdict.INCONCLUSIVE


def _counts(arm: ArmCounts) -> Counts:
    return Counts(bad=arm.bad, total=arm.total)


def _share(arm: ArmCounts) -> str:
    percent = f" ({arm.bad / arm.total:.2%})".replace("%", " %") if arm.total else ""
    return f"{arm.bad:,} of {arm.total:,}{percent}"


def _times(ratio: float | None) -> str:
    if ratio is None:
        return ""
    return ": only the canary" if math.isinf(ratio) else f": {ratio:.2g}x"


def _short(value: float) -> str:
    return f"{value:.6g}"
