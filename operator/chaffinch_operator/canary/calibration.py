"""What a gate takes from the time before the candidate: dispersion and factor, fixed before its first look. Pure.

`calibrate` chooses from a history, `record` writes the choice to the gate's status once, `settled` is the gate that
judges by it. Evidence rests on what is written: it is never measured again for the same candidate.
"""

import math
from collections.abc import Sequence
from dataclasses import replace

from chaffinch_operator.canary.gates import Kind, ResolvedGate
from chaffinch_operator.canary.judgement import fresh
from chaffinch_operator.canary.past import History
from chaffinch_operator.canary.snapshot import Calibration
from chaffinch_operator.canary.status import GateStatus
from chaffinch_operator.conditions import cut
from chaffinch_stats import dispersion, method
from chaffinch_stats.count_gate import Method

_ENOUGH = 0.9
"""Share of minBaselineHistory in which stable must have been seen."""
_LONGEST = 250
_WITHOUT = "no history was read"


def calibrate(gate: ResolvedGate, history: History) -> Calibration:
    """What the gate takes from a history; without one it goes by what the spec says, else by 1 and Poisson."""
    chosen = _method(gate, history)
    if not gate.auto:
        return Calibration(gate.name, _text(_given(gate)), "Spec", chosen)
    table: Method = "Poisson" if chosen == "Poisson" else "Fisher"
    phi, source = _measured(gate, history, table)
    return Calibration(gate.name, _text(phi), cut(source, _LONGEST), chosen)


def record(
    gates: Sequence[ResolvedGate], old: Sequence[GateStatus], found: Sequence[Calibration]
) -> tuple[GateStatus, ...]:
    """The gates' statuses with what was found; what was fixed before stays."""
    have, by_gate = {g.name: g for g in old}, {c.gate: c for c in found}
    statuses = []
    for gate in gates:
        status = fresh(gate, have.get(gate.name))
        if _counts(gate) and not is_fixed(status) and gate.name in by_gate:
            status = _with(status, by_gate[gate.name])
        statuses.append(status)
    return tuple(statuses)


def unfixed(gates: Sequence[ResolvedGate], old: Sequence[GateStatus]) -> tuple[ResolvedGate, ...]:
    """Gates that must be calibrated before anything is folded into them."""
    have = {g.name: g for g in old}
    return tuple(g for g in gates if _counts(g) and not is_fixed(fresh(g, have.get(g.name))))


def needs_history(gate: ResolvedGate) -> bool:
    """Whether the past can change how it judges."""
    may_choose = gate.group is None and gate.count is not None and gate.count.harm_ratio <= 1.0
    return gate.source is not None and (gate.auto or may_choose)


def fixed(gate: ResolvedGate, status: GateStatus) -> GateStatus:
    """The status with a calibration: its own, or the one that goes without history."""
    if not _counts(gate) or is_fixed(status):
        return status
    return _with(status, calibrate(gate, History(1.0, problem=_WITHOUT)))


def settled(gate: ResolvedGate, status: GateStatus) -> ResolvedGate:
    """The gate as its status has fixed it."""
    if not _counts(gate) or not is_fixed(status):
        return gate
    phi = float(status.dispersion)
    if gate.rate is not None:
        return gate if gate.rate.dispersion == phi else replace(gate, rate=replace(gate.rate, dispersion=phi))
    if gate.group is not None:
        return gate if gate.group.dispersion == phi else replace(gate, group=replace(gate.group, dispersion=phi))
    assert gate.count is not None
    factor: Method = "Fisher" if status.method == "Fisher" else "Poisson"
    if (gate.count.dispersion, gate.count.method) == (phi, factor):
        return gate
    return replace(gate, count=replace(gate.count, dispersion=phi, method=factor))


def is_fixed(status: GateStatus) -> bool:
    """Whether it has a calibration. A damaged one is none: it is made anew, and evidence of another starts anew."""
    try:
        phi = float(status.dispersion or 0)
    except ValueError:
        return False
    return bool(status.dispersion_source) and math.isfinite(phi) and phi >= 1.0


def _counts(gate: ResolvedGate) -> bool:
    return gate.count is not None or gate.rate is not None


def _with(status: GateStatus, found: Calibration) -> GateStatus:
    return status.model_copy(
        update={"dispersion": found.dispersion, "dispersion_source": found.source, "method": found.method}
    )


def _method(gate: ResolvedGate, history: History) -> str:
    if gate.group is not None:
        return "GroupSequential"
    return method.choose(history.sum, gate.count.harm_ratio) if gate.count is not None else ""


def _given(gate: ResolvedGate) -> float:
    design = gate.count or gate.rate
    return design.dispersion if design is not None else 1.0


def _text(phi: float) -> str:
    """Rounded up to what status holds: what is written is what is used."""
    return f"{max(1.0, math.ceil(phi * 1000) / 1000):g}"


def _measured(gate: ResolvedGate, history: History, table: Method) -> tuple[float, str]:
    """The dispersion, and where it is from."""
    if history.problem:
        return _assumed(history.problem, "set dispersion")
    if history.seen_seconds < _ENOUGH * gate.history_seconds:
        has, needed = _span(history.seen_seconds), _span(gate.history_seconds)
        return _assumed(
            f"{has} of stable's history where minBaselineHistory wants {needed}", "wait, lower it, or set dispersion"
        )
    halves = gate.kind is Kind.RATIO and bool(history.halves)
    found = dispersion.estimate(history.halves, table) if halves else dispersion.from_one_arm(history.whole, table)
    if not found.sufficient:
        return _assumed(_insufficient(found, halves=halves), "raise minBaselineHistory, or set dispersion")
    against = "two halves of stable's pods" if halves else "stable, each block of time against those around it"
    extent, block = _span(history.seen_seconds), _span(found.block_intervals * history.step_seconds)
    return found.phi, f"History: {extent}, {against}, blocks of {block}"


def _insufficient(found: dispersion.Dispersion, *, halves: bool) -> str:
    if halves and found.intervals >= dispersion.MIN_INTERVALS:
        return "the two halves of stable's pods differ for longer than its history can tell"
    if halves:
        return f"bad requests in {found.intervals} steps of stable's history, {dispersion.MIN_INTERVALS} are needed"
    return f"bad requests in too few steps of stable's history, {dispersion.MIN_INTERVALS} are needed"


def _assumed(reason: str, way_out: str) -> tuple[float, str]:
    return 1.0, f"Assumed: {reason}; {way_out}"


def _span(seconds: float) -> str:
    """2h, 90m or 45s: the largest unit in which it is a whole number, or ten and more."""
    for size, unit in ((3600.0, "h"), (60.0, "m")):
        if seconds >= size and (seconds % size == 0 or seconds >= 10 * size):
            return f"{seconds / size:.3g}{unit}"
    return f"{seconds:.4g}s"
