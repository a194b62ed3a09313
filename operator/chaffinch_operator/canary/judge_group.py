"""Ratios judged at planned looks: two arms, group sequential. Pure.

A look is taken when the information passes the next of the marks that divide what is planned into equal parts, on the
side (harm or safety) that is furthest from its end: the other side, whose plan is shorter, then never runs out of looks
before its information. What decides is the information, not the clock, so a look is the same whenever it is computed.
"""

import math
from collections.abc import Iterable, Sequence

from chaffinch_operator.canary.gates import ResolvedGate
from chaffinch_operator.canary.judge_counts import interval
from chaffinch_operator.canary.judgement import MESSAGE, Changes, counted, restored, share, short, times
from chaffinch_operator.canary.reasons import Verdict
from chaffinch_operator.canary.snapshot import GateReading
from chaffinch_operator.canary.status import GateStatus
from chaffinch_operator.conditions import cut
from chaffinch_stats import group_sequential
from chaffinch_stats.group_sequential import GroupEvidence, GroupGate, Outcome, Side

_CHUNK = 1000
"""Characters of one string of evidence in status."""
_ALMOST = 1.0 - 1e-9
_VERDICTS = {Outcome.HARM: Verdict.FAIL, Outcome.SAFE: Verdict.PASS}


def fold_group(told: ResolvedGate, gate: GroupGate, old: GateStatus, value: GateReading) -> Changes:
    """One more interval, and a look at what there is by then if one is due."""
    evidence = group_sequential.update(evidence_of(gate, old), gate, interval(value))
    if look_is_due(evidence, gate):
        evidence = group_sequential.look(evidence, gate)
    estimate = ratio(evidence, gate)
    verdict = _VERDICTS.get(evidence.outcome, Verdict.INCONCLUSIVE)
    arms = f"canary {share(evidence.canary)}, {told.compared} {share(evidence.baseline)}{times(estimate)}"
    return {
        "verdict": verdict if evidence.canary.total else Verdict.NO_DATA,
        "canary": counted(evidence.canary),
        "baseline": counted(evidence.baseline),
        "ratio": "" if estimate is None else short(estimate),
        "evidence": _chunked(group_sequential.to_state(evidence)),
        "message": cut(f"{told.name}: {arms}, {_looks(evidence, gate)}", MESSAGE),
    }


def prepare(gates: Iterable[ResolvedGate]) -> None:
    """Compute, once per process and design, how long the plans are: up to seconds of work, for a thread of its own."""
    for gate in gates:
        if gate.group is not None:
            _ = gate.group.harm_information, gate.group.safe_information


def evidence_of(gate: GroupGate, status: GateStatus) -> GroupEvidence:
    """The evidence so far."""
    start = GroupEvidence.start(gate)
    return restored(lambda state: group_sequential.from_state(gate, _joined(state)), status, start)


def look_is_due(evidence: GroupEvidence, gate: GroupGate) -> bool:
    """Whether the plan wants a look at this evidence."""
    open_sides = [side for side in _sides(evidence, gate) if not _ended(*side, gate)]
    if not open_sides:
        return False
    test, planned = min(open_sides, key=lambda side: side[0].information / side[1])
    passed = math.floor(test.at[-1] / planned * gate.looks / _ALMOST) if test.at else 0
    return test.information >= (passed + 1) / gate.looks * planned * _ALMOST


def plan_has_ended(evidence: GroupEvidence, gate: GroupGate) -> bool:
    """Whether no look is left, of harm or of safety."""
    return all(_ended(*side, gate) for side in _sides(evidence, gate))


def share_missing(evidence: GroupEvidence, gate: GroupGate) -> float:
    """How much of the planned information is still to come, on the side that needs more: 1 at the beginning."""
    return max(max(0.0, 1.0 - test.information / planned) for test, planned in _sides(evidence, gate))


def ratio(evidence: GroupEvidence, gate: GroupGate) -> float | None:
    """Estimate of the rate ratio, stratified by interval; None without bad events, inf with the canary's alone.

    Of all bad events the canary's share should be E(psi) = sum of m*theta(psi) over their number, and both scores tell
    E, at harm_ratio and at margin_ratio. The logit of E is linear in log(psi) where traffic shares stay, with slope 1;
    where they move it is nearly so, with the slope seen between the two. The ratio is where E is what was counted.
    """
    bad, base_bad = evidence.canary.bad, evidence.baseline.bad
    every = bad + base_bad
    at_harm = bad - gate.dispersion * evidence.harm.score
    at_margin = bad + gate.dispersion * evidence.safe.score
    if every == 0 or not 0.0 < at_harm < at_margin < every:
        return None
    if bad == 0 or base_bad == 0:
        return math.inf if bad else 0.0
    slope = (_logit(at_margin / every) - _logit(at_harm / every)) / math.log(gate.margin_ratio / gate.harm_ratio)
    return gate.harm_ratio * math.exp((_logit(bad / every) - _logit(at_harm / every)) / slope)


def _logit(share: float) -> float:
    return math.log(share / (1.0 - share))


def _sides(evidence: GroupEvidence, gate: GroupGate) -> tuple[tuple[Side, float], tuple[Side, float]]:
    return (evidence.harm, gate.harm_information), (evidence.safe, gate.safe_information)


def _ended(test: Side, planned: float, gate: GroupGate) -> bool:
    return bool(test.at) and (test.at[-1] >= planned * _ALMOST or len(test.at) == gate.looks)


def _looks(evidence: GroupEvidence, gate: GroupGate) -> str:
    taken = max(len(evidence.harm.at), len(evidence.safe.at))
    if taken == 0:
        return f"no look of {gate.looks} yet"
    place = f"look {taken} of {gate.looks}"
    if evidence.outcome is Outcome.HARM:
        return f"{place}: z of harm reached its boundary {evidence.harm.boundaries[-1]:.2f}"
    if evidence.outcome is Outcome.SAFE:
        return f"{place}: z of safety reached its boundary {evidence.safe.boundaries[-1]:.2f}"
    if plan_has_ended(evidence, gate):
        return f"{place}: the plan has ended and no boundary was reached; nothing is proven, and no look will follow"
    sides = ", of ".join(
        f"{word} {test.normal_z:.2f} (boundary {test.boundaries[-1]:.2f})"
        for word, test in (("harm", evidence.harm), ("safety", evidence.safe))
        if test.boundaries
    )
    return f"{place}: z of {sides}"


def _chunked(state: Sequence[str]) -> list[str]:
    """The sums of many looks are longer than a string of status may be."""
    kind, design, counts, sums, checksum = state
    parts = [sums[k : k + _CHUNK] for k in range(0, len(sums), _CHUNK)]
    return [kind, design, counts, *parts, checksum]


def _joined(state: Sequence[str]) -> list[str]:
    return [*state[:3], "".join(state[3:-1]), *state[-1:]]
