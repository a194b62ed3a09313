"""Fold closed intervals into the evidence of each gate, and say what the gates say. Pure.

Evidence is stratified by interval: an interval of one weight is one factor, so ramps and daily drift cancel. A gate
without usable data keeps the evidence it has and says NoData; it neither fails nor passes.
"""

from collections.abc import Sequence

from chaffinch_operator.canary import calibration, clock
from chaffinch_operator.canary.gates import Kind, ResolvedGate
from chaffinch_operator.canary.judge_counts import fold_count
from chaffinch_operator.canary.judge_group import fold_group
from chaffinch_operator.canary.judge_rate import fold_rate
from chaffinch_operator.canary.judge_split import fold_split
from chaffinch_operator.canary.judgement import MESSAGE, Changes, Thresholds, fresh
from chaffinch_operator.canary.reasons import Verdict
from chaffinch_operator.canary.snapshot import GateReading, IntervalReading
from chaffinch_operator.canary.status import Counts, GateStatus
from chaffinch_operator.conditions import cut

_WORST_FIRST = (Verdict.FAIL, Verdict.NO_DATA, Verdict.INCONCLUSIVE, Verdict.PASS)


def fold(
    gates: Sequence[ResolvedGate],
    old: Sequence[GateStatus],
    reading: IntervalReading,
    share: float | None,
    thresholds: Thresholds,
) -> tuple[GateStatus, ...]:
    """All gates after one more interval. share: intended share of the canary, None where no split is intended.

    A gate that `calibration.record` has not given a dispersion yet gets the one that goes without history, for good.
    """
    have = {g.name: g for g in old}
    values = {r.gate: r for r in reading.gates}
    first = next((values[g.name] for g in gates if g.kind is Kind.RATIO and g.name in values), None)
    out = []
    for gate in gates:
        status = calibration.fixed(gate, fresh(gate, have.get(gate.name)))
        value = values.get(gate.name) or (first if gate.kind is Kind.SPLIT else None)
        if value is not None and gate.kind is not Kind.RESTARTS:
            changes = _fold_one(calibration.settled(gate, status), status, value, share, thresholds)
            status = status.model_copy(update={**changes, "last_interval_end": clock.stamp(reading.end)})
        out.append(status)
    return tuple(out)


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
) -> Changes:
    if value.problem is not None:
        return {"verdict": Verdict.NO_DATA, "message": cut(f"{gate.name}: {value.problem.message}", MESSAGE)}
    if gate.kind is Kind.SPLIT:
        return fold_split(gate, old, value, share)
    if gate.rate is not None:
        return fold_rate(gate.name, gate.rate, old, value, thresholds)
    if gate.group is not None:
        return fold_group(gate, gate.group, old, value)
    if gate.count is not None:
        return fold_count(gate, gate.count, old, value, thresholds)
    return {}
