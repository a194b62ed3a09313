"""Ratios judged at planned looks: when a look is taken, what it says, and that a restart changes nothing."""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from chaffinch_operator.canary import evidence, judge_group
from chaffinch_operator.canary.calibration import record, settled
from chaffinch_operator.canary.forecast import forecast
from chaffinch_operator.canary.gates import MOST_LOOKS, ResolvedGate, resolve
from chaffinch_operator.canary.judge_counts import interval
from chaffinch_operator.canary.judgement import Thresholds
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Reason, Verdict
from chaffinch_operator.canary.report import size
from chaffinch_operator.canary.snapshot import ArmReading, Blocker, Calibration, GateReading, IntervalReading
from chaffinch_operator.canary.status import CanaryRolloutStatus, GateStatus, StepStatus
from chaffinch_stats import group_sequential
from chaffinch_stats.group_sequential import GroupEvidence, GroupGate, Outcome
from unit.canary.builders import ERRORS, NAMING, RESTARTS, SPEC, merged, moment

OBJECTIVE = {"name": "slo", "objective": {"bad": "b", "total": "t", "maxRatio": "0.01"}}
Arm = tuple[int, int]


def planned(*listed: dict[str, Any], **plan: Any) -> tuple[CanaryRolloutSpec, tuple[ResolvedGate, ...]]:
    """A spec with planned looks, and its gates."""
    analysis = {"mode": "GroupSequential", "groupSequential": {"looks": 5, **plan}, "gates": list(listed) or [ERRORS]}
    spec = CanaryRolloutSpec.model_validate(merged(SPEC, {"analysis": analysis}))
    return spec, resolve(spec, NAMING)


@lru_cache
def one(looks: int = 5) -> tuple[CanaryRolloutSpec, tuple[ResolvedGate, ...]]:
    """One gate with so many looks."""
    return planned(looks=looks)


def plan_of(gate: ResolvedGate) -> GroupGate:
    """Its design."""
    assert gate.group is not None
    return gate.group


def folded(
    old: tuple[GateStatus, ...], canary: Arm, stable: Arm, looks: int = 5, problem: Blocker | None = None
) -> tuple[GateStatus, ...]:
    """One more interval, through what is stored between two passes."""
    spec, gates = one(looks)
    value = GateReading("errors", ArmReading(*canary), ArmReading(*stable), problem)
    reading = IntervalReading(moment(0), moment(30), (value,))
    statuses = evidence.fold(gates, old, reading, 0.5, Thresholds.of(spec, gates))
    return tuple(GateStatus.model_validate_json(s.model_dump_json()) for s in statuses)


def run(canary: Arm, stable: Arm, most: int = 200, looks: int = 5) -> GateStatus:
    """Equal intervals until there is a verdict, or so many."""
    statuses: tuple[GateStatus, ...] = ()
    for _ in range(most):
        statuses = folded(statuses, canary, stable, looks)
        if statuses[0].verdict in (Verdict.PASS, Verdict.FAIL):
            break
    return statuses[0]


def test_harm_fails_at_a_look() -> None:
    """The sentence names the look and the boundary; a ratio is told, but no e-value: there is none."""
    gate = run((40, 1000), (20, 1000))
    assert gate.verdict is Verdict.FAIL
    assert gate.method == "GroupSequential"
    assert "of 5: z of harm reached its boundary " in gate.message
    assert float(gate.ratio) == pytest.approx(2.0, rel=0.01)
    assert (gate.p_value, gate.log_e_harm, gate.log_e_safe, gate.interval) == ("", "", "", [])


def test_a_canary_like_stable_passes_at_a_look() -> None:
    """By its margin, with the power of the plan."""
    gate = run((20, 1000), (20, 1000))
    assert gate.verdict is Verdict.PASS
    assert "of 5: z of safety reached its boundary " in gate.message


def test_between_looks_the_sentence_names_look_and_boundaries() -> None:
    """Of both sides."""
    gate = run((11, 1000), (9, 1000), most=4)
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert re.search(r"look 1 of 5: z of harm 0\.\d\d \(boundary \d\.\d\d\), of safety", gate.message)


def test_before_the_first_look_nothing_is_said() -> None:
    """However large the difference: looks are planned, not taken at will."""
    gate = folded((), (9, 100), (1, 100))[0]
    assert gate.verdict is Verdict.INCONCLUSIVE
    assert gate.message.endswith("9x, no look of 5 yet")


def test_a_plan_that_ends_without_a_crossing_is_inconclusive_and_says_so() -> None:
    """Halfway between harm and the margin neither is owed; no look follows, and the verdict stays."""
    gate = run((11, 1000), (9, 1000), most=30)
    assert gate.verdict is Verdict.INCONCLUSIVE
    ended = "look 5 of 5: the plan has ended and no boundary was reached; nothing is proven, and no look will follow"
    assert ended in gate.message
    assert len(gate.message) <= 300
    late = folded((gate,), (90, 1000), (10, 1000))[0]
    assert late.verdict is Verdict.INCONCLUSIVE


def test_no_data_never_fails_nor_passes() -> None:
    """No request of the canary, or a problem: NoData, and the evidence there is stays."""
    assert folded((), (0, 0), (5, 900))[0].verdict is Verdict.NO_DATA
    before = folded((), (3, 300), (3, 300))
    blind = folded(before, (0, 0), (0, 0), problem=Blocker(Reason.NO_DATA, "gone"))[0]
    assert blind.verdict is Verdict.NO_DATA
    assert blind.evidence == before[0].evidence


@given(st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90)), min_size=1, max_size=20))
def test_intervals_without_information_decide_nothing(totals: list[tuple[int, int]]) -> None:
    """No bad request in either arm: no look is taken, whatever the traffic."""
    statuses: tuple[GateStatus, ...] = ()
    for canary, stable in totals:
        statuses = folded(statuses, (0, canary), (0, stable))
    assert statuses[0].verdict in (Verdict.NO_DATA, Verdict.INCONCLUSIVE)
    assert "look " not in statuses[0].message or "no look of 5 yet" in statuses[0].message


COUNTS = st.tuples(st.integers(0, 60), st.integers(60, 2000))


@given(seen=st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=25), phi=st.sampled_from(["1", "1.7"]))
def test_evidence_is_that_of_the_library(seen: list[tuple[Arm, Arm]], phi: str) -> None:
    """Folded through status, interval by interval, it is to the bit what the statistics give when used directly."""
    _, gates = one()
    statuses = record(gates, (), [Calibration("errors", phi, "History: 2h", "GroupSequential")])
    design = plan_of(settled(gates[0], statuses[0]))
    direct = GroupEvidence.start(design)
    for canary, stable in seen:
        statuses = folded(statuses, canary, stable)
        value = GateReading("errors", ArmReading(*canary), ArmReading(*stable))
        direct = group_sequential.update(direct, design, interval(value))
        if judge_group.look_is_due(direct, design):
            direct = group_sequential.look(direct, design)
        assert judge_group.evidence_of(design, statuses[0]) == direct
    verdicts = {Outcome.HARM: Verdict.FAIL, Outcome.SAFE: Verdict.PASS, Outcome.NONE: Verdict.INCONCLUSIVE}
    assert statuses[0].verdict is verdicts[direct.outcome]
    assert statuses[0].dispersion == phi


@given(
    seen=st.lists(st.integers(1, 400), min_size=1, max_size=60),
    looks=st.sampled_from([1, 5, 20]),
    margin=st.sampled_from([1.2, 1.5, 3.0]),
)
@settings(deadline=None)
def test_looks_are_spread_over_the_information(seen: list[int], looks: int, margin: float) -> None:
    """On the slower side each is the first to pass a mark of its own, so there are never more than planned."""
    design = GroupGate(looks=looks, margin_ratio=margin)
    sums = GroupEvidence.start(design)
    for bad in seen:
        value = GateReading("errors", ArmReading(bad, 10_000), ArmReading(bad, 10_000))
        sums = group_sequential.update(sums, design, interval(value))
        if judge_group.look_is_due(sums, design):
            sums = group_sequential.look(sums, design)
    slow, information = max(
        ((sums.harm, design.harm_information), (sums.safe, design.safe_information)), key=lambda side: side[1]
    )
    marks = [math.floor(at / information * looks + 1e-9 * looks) for at in slow.at]
    assert marks == sorted({mark for mark in marks if mark >= 1})
    assert len(sums.harm.at) <= looks
    assert len(sums.safe.at) <= looks
    if judge_group.plan_has_ended(sums, design) and sums.outcome is Outcome.NONE:
        assert not judge_group.look_is_due(sums, design)
        assert judge_group.share_missing(sums, design) == 0.0


def test_the_sums_of_many_looks_fit_in_status() -> None:
    """Strings of at most 1,024 characters; what is put together again is what was taken apart."""
    gate = run((1, 100), (1, 110), most=130, looks=30)
    assert max(map(len, gate.evidence)) <= 1024
    design = plan_of(settled(one(30)[1][0], gate))
    assert judge_group.evidence_of(design, gate).harm.at
    damaged = gate.model_copy(update={"evidence": [*gate.evidence[:3], "AAAA", *gate.evidence[4:]]})
    assert judge_group.evidence_of(design, damaged) == GroupEvidence.start(design)


def test_the_most_looks_of_the_most_gates_fit_in_status() -> None:
    """Within the 16 KiB that all of status may take."""
    gate = run((11, 1000), (9, 1000), most=30, looks=20)
    status = CanaryRolloutStatus(gates=[gate.model_copy(update={"name": f"gate-{k}"}) for k in range(MOST_LOOKS // 20)])
    assert size(status) < 9_000


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "harm that is allowed": (
        {"harmRatio": "1.4"},
        {"detectRatio": "1.3"},
        r"spec.analysis.groupSequential.detectRatio must exceed harmRatio of gate errors, got 1.3: .* \(1.4\)",
    ),
    "a margin that forbids equals": (
        {"harmRatio": "0.8", "marginRatio": "0.9"},
        {},
        r"spec.analysis.gates\[errors\]: marginRatio must exceed 1",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_plan_that_makes_no_sense_is_refused(what: str) -> None:
    """The message names the field."""
    fields, plan, words = REFUSED[what]
    with pytest.raises(ValueError, match=words):
        planned({**ERRORS, **fields}, **plan)


def test_more_looks_than_status_holds_are_refused() -> None:
    """The message says how many there may be."""
    gates = [{**ERRORS, "name": f"gate-{k}"} for k in range(4)]
    with pytest.raises(ValueError, match=r"looks: 26 looks at 4 gates are more than 100 together: plan at most 25"):
        planned(*gates, RESTARTS, looks=26)
    assert len(planned(*gates, RESTARTS, looks=25)[1]) == 5


def test_alpha_is_shared_and_beta_is_not() -> None:
    """Between all gates that count and act; objectives are judged at any time, and have their share."""
    dry = {**ERRORS, "name": "dry", "dryRun": True}
    _, gates = planned(ERRORS, {**ERRORS, "name": "more"}, OBJECTIVE, dry)
    plans = [gate.group for gate in gates]
    assert [p.alpha for p in plans if p is not None] == pytest.approx([0.05 / 3] * 3)
    assert [p.beta for p in plans if p is not None] == [0.05] * 3
    assert plans[2] is None
    assert gates[2].rate is not None


def test_another_plan_is_another_design() -> None:
    """Evidence of it starts anew: alpha cannot be spent by two plans. Without a plan designs are what they were."""
    designs = {planned(ERRORS, **plan)[1][0].design for plan in ({}, {"looks": 6}, {"power": "0.8"})}
    anytime = resolve(CanaryRolloutSpec.model_validate(merged(SPEC, {"analysis": {"gates": [ERRORS]}})), NAMING)
    assert len(designs | {anytime[0].design}) == 4


def test_the_estimate_is_not_moved_by_a_ramp() -> None:
    """Falling shares of a rising error rate: pooled the ratio would be off, summed interval by interval it is 2."""
    design = GroupGate()
    sums = GroupEvidence.start(design)
    for canary, stable in (((40, 1000), (20, 1000)), ((40, 200), (900, 9000))):
        value = GateReading("errors", ArmReading(*canary), ArmReading(*stable))
        sums = group_sequential.update(sums, design, interval(value))
    assert judge_group.ratio(sums, design) == pytest.approx(2.0, rel=0.05)
    only = group_sequential.update(
        GroupEvidence.start(design), design, interval(GateReading("e", ArmReading(3, 90), ArmReading(0, 90)))
    )
    assert judge_group.ratio(only, design) == math.inf
    assert judge_group.ratio(GroupEvidence.start(design), design) is None


def test_the_forecast_is_the_end_of_the_plan() -> None:
    """Requests planned less the information there is; none once the plan has ended."""
    spec, gates = one()
    steady = spec.model_copy(update={"steps": spec.steps[1:]})
    gate = folded((), (20, 1000), (20, 1000))[0]
    step = StepStatus(started_at="2026-01-01T12:00:00Z", canary_requests=1000, total_requests=2000)
    status = CanaryRolloutStatus(gates=[gate], interval_end="2026-01-01T12:01:00Z", step=step)
    ahead = forecast(steady, gates, status)
    design = plan_of(settled(gates[0], gate))
    assert ahead is not None
    whole = group_sequential.requests_planned(design, 0.02, 0.5)
    assert ahead.requests_needed == pytest.approx(whole - 2000, rel=0.02)
    ended = run((11, 1000), (9, 1000), most=30)
    assert forecast(steady, gates, status.model_copy(update={"gates": [ended]})) is None


def test_planned_looks_keep_their_promises() -> None:
    """A canary that is the same fails, and one at the margin passes, no more often than stated; power is as planned."""
    judge_group.prepare(one()[1])
    rng, runs = np.random.default_rng(4), 250
    found = {ratio: [outcome(rng, ratio) for _ in range(runs)] for ratio in (1.0, 1.5)}
    for ratio, wrong, right in ((1.0, Outcome.HARM, Outcome.SAFE), (1.5, Outcome.SAFE, Outcome.HARM)):
        assert binomtest(found[ratio].count(wrong), runs, 0.05, alternative="greater").pvalue > 0.001
        assert binomtest(found[ratio].count(right), runs, 0.88, alternative="less").pvalue > 0.001


def outcome(rng: np.random.Generator, ratio: float) -> Outcome:
    """How a plan of five looks ends: 1 % errors, equal arms."""
    design = plan_of(one()[1][0])
    sums = GroupEvidence.start(design)
    while sums.outcome is Outcome.NONE and not judge_group.plan_has_ended(sums, design):
        canary, stable = rng.binomial(1000, (0.01 * ratio, 0.01)).tolist()
        value = GateReading("errors", ArmReading(canary, 1000), ArmReading(stable, 1000))
        sums = group_sequential.update(sums, design, interval(value))
        if judge_group.look_is_due(sums, design):
            sums = group_sequential.look(sums, design)
    return sums.outcome
