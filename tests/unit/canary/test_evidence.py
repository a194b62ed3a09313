"""What the gates say after an interval, and what they say when they cannot know."""

from __future__ import annotations

from typing import Any

import pytest

from chaffinch_operator.canary import evidence
from chaffinch_operator.canary.evidence import fold, judge_restarts
from chaffinch_operator.canary.gates import ResolvedGate, resolve
from chaffinch_operator.canary.judgement import Thresholds
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Reason, Verdict
from chaffinch_operator.canary.snapshot import ArmReading, Blocker, GateReading, IntervalReading
from chaffinch_operator.canary.status import Counts, GateStatus
from unit.canary.builders import ERRORS, NAMING, SPEC, merged, moment

OBJECTIVE = {"name": "slo", "objective": {"bad": "b", "total": "t", "maxRatio": "0.01"}}
SPLIT = {"name": "split", "sampleRatio": {}}


def gates(*listed: dict[str, Any]) -> tuple[CanaryRolloutSpec, tuple[ResolvedGate, ...]]:
    """A spec and its resolved gates."""
    spec = CanaryRolloutSpec.model_validate(merged(SPEC, {"analysis": {"gates": list(listed)}}))
    return spec, resolve(spec, NAMING)


def judged(
    *listed: dict[str, Any],
    canary: tuple[int, int],
    baseline: tuple[int, int],
    share: float | None = 0.25,
    old: tuple[GateStatus, ...] = (),
    problem: Blocker | None = None,
) -> tuple[GateStatus, ...]:
    """What the gates say after one interval."""
    spec, resolved = gates(*listed)
    readings = tuple(
        GateReading(g.name, ArmReading(*canary), ArmReading(*baseline), problem) for g in resolved if g.source
    )
    reading = IntervalReading(moment(0), moment(30), readings)
    return fold(resolved, old, reading, share, Thresholds.of(spec, resolved))


COUNTED: dict[str, tuple[tuple[int, int], tuple[int, int], Verdict, str]] = {
    "harm": ((42, 1310), (16, 12040), Verdict.FAIL, "canary 42 of 1,310 (3.21 %), stable 16 of 12,040 (0.13 %): 24x"),
    "safety": ((8, 10000), (26, 30000), Verdict.PASS, ": 0.92x"),
    "no errors at all": (
        (0, 1000),
        (0, 3000),
        Verdict.PASS,
        "canary 0 of 1,000 (0.00 %), stable 0 of 3,000 (0.00 %), p",
    ),
    "errors of the canary alone": ((9, 1000), (0, 9000), Verdict.FAIL, ": only the canary, p"),
    "too little": ((1, 50), (0, 150), Verdict.INCONCLUSIVE, "p = "),
    "no request of the canary": ((0, 0), (3, 150), Verdict.NO_DATA, "canary 0 of 0, stable 3 of 150"),
}


@pytest.mark.parametrize("name", COUNTED)
def test_a_ratio_says(name: str) -> None:
    """One sentence with the numbers, and the verdict they give."""
    canary, baseline, verdict, words = COUNTED[name]
    gate = judged(ERRORS, canary=canary, baseline=baseline)[0]
    assert gate.verdict is verdict
    assert words in gate.message
    assert (gate.canary.total, gate.baseline.total) == (canary[1], baseline[1])
    assert gate.last_interval_end == "2026-01-01T12:00:30Z"


@pytest.mark.parametrize(
    ("canary", "verdict"),
    [
        ((80, 1000), Verdict.FAIL),
        ((0, 9000), Verdict.PASS),
        ((1, 100), Verdict.INCONCLUSIVE),
        ((0, 0), Verdict.NO_DATA),
    ],
)
def test_an_objective_says(canary: tuple[int, int], verdict: Verdict) -> None:
    """Against 1 %."""
    gate = judged(OBJECTIVE, canary=canary, baseline=(0, 0))[0]
    assert gate.verdict is verdict
    assert "at most 1.000% allowed" in gate.message
    assert (gate.ratio == "") is (canary[1] == 0)


def test_harm_stays_proven() -> None:
    """A gate that failed does not recover by luck later on."""
    bad = judged(ERRORS, canary=(42, 1310), baseline=(16, 12040))
    assert judged(ERRORS, canary=(0, 90000), baseline=(5000, 90000), old=bad)[0].verdict is Verdict.FAIL


def test_the_split_is_judged_by_the_first_ratio() -> None:
    """As intended it passes; off it is inconclusive for ever, which never promotes; without a share it says nothing."""
    even = judged(ERRORS, SPLIT, canary=(0, 250), baseline=(0, 750))[1]
    assert even.verdict is Verdict.PASS
    assert even.message == "split: 250 of 1,000 requests went to the canary, as the weights say"
    off = judged(ERRORS, SPLIT, canary=(0, 900), baseline=(0, 100))
    assert off[1].verdict is Verdict.INCONCLUSIVE
    assert "the traffic split is not what the weights say" in off[1].message
    still = judged(ERRORS, SPLIT, canary=(0, 250), baseline=(0, 750), old=off)[1]
    assert still.verdict is Verdict.INCONCLUSIVE
    assert still.canary == Counts(bad=1150, total=1150)
    for share in (None, 0.0, 1.0):
        assert judged(ERRORS, SPLIT, canary=(0, 9), baseline=(0, 1), share=share)[1].verdict is Verdict.NO_DATA
    assert judged(ERRORS, SPLIT, canary=(0, 0), baseline=(0, 0))[1].verdict is Verdict.NO_DATA


def test_a_problem_is_no_data_and_keeps_the_evidence() -> None:
    """The message is cut to what status takes."""
    one = judged(ERRORS, canary=(1, 100), baseline=(1, 300))
    problem = Blocker(Reason.BAD_QUERY, "long " * 500)
    blind = judged(ERRORS, canary=(0, 0), baseline=(0, 0), old=one, problem=problem)[0]
    assert blind.verdict is Verdict.NO_DATA
    assert blind.evidence == one[0].evidence
    assert len(blind.message) == 300


@pytest.mark.parametrize("listed", [ERRORS, OBJECTIVE, {"name": "split", "sampleRatio": {"total": "t"}}])
def test_damaged_evidence_starts_anew(listed: dict[str, Any]) -> None:
    """Or evidence of another version: it proves nothing, and it does not stop the operator."""
    one = judged(listed, canary=(1, 100), baseline=(1, 300))[0]
    damaged = one.model_copy(update={"evidence": ["count/0", *one.evidence[1:]]})
    again = judged(listed, canary=(1, 100), baseline=(1, 300), old=(damaged,))[0]
    assert again.evidence == one.evidence


def test_a_gate_that_was_not_read_keeps_what_it_has() -> None:
    """A reading of other gates changes nothing in it."""
    spec, resolved = gates(ERRORS)
    empty = IntervalReading(moment(0), moment(30), ())
    said = fold(resolved, (), empty, 0.25, Thresholds.of(spec, resolved))
    assert (said[0].verdict, said[0].message) == (Verdict.NO_DATA, "errors: no data yet")
    odd = ResolvedGate("errors", resolved[0].kind, dry_run=False, design="d", source=resolved[0].source)
    full = IntervalReading(moment(0), moment(30), (GateReading("errors", ArmReading(0, 1), ArmReading(0, 1)),))
    assert fold((odd,), (), full, 0.25, Thresholds.of(spec, resolved))[0].verdict is Verdict.NO_DATA


@pytest.mark.parametrize(
    ("restarts", "verdict"), [(0, Verdict.PASS), (2, Verdict.PASS), (3, Verdict.FAIL), (None, Verdict.NO_DATA)]
)
def test_restarts_say(restarts: int | None, verdict: Verdict) -> None:
    """More than the maximum fails; without a canary nothing is known."""
    _, resolved = gates({"name": "restarts", "podRestarts": {"max": 2}})
    assert judge_restarts(resolved, (), restarts)[0].verdict is verdict


LISTS: dict[str, tuple[list[tuple[Verdict, bool]], Verdict, bool]] = {
    "nothing is no proof": ([], Verdict.NO_DATA, False),
    "dry runs are no proof": ([(Verdict.PASS, True)], Verdict.NO_DATA, False),
    "all pass": ([(Verdict.PASS, False), (Verdict.PASS, False)], Verdict.PASS, True),
    "a dry run's harm does not count": ([(Verdict.PASS, False), (Verdict.FAIL, True)], Verdict.PASS, True),
    "one is inconclusive": ([(Verdict.PASS, False), (Verdict.INCONCLUSIVE, False)], Verdict.INCONCLUSIVE, False),
    "no data is worse": ([(Verdict.NO_DATA, False), (Verdict.INCONCLUSIVE, False)], Verdict.NO_DATA, False),
    "harm is worst": ([(Verdict.NO_DATA, False), (Verdict.FAIL, False)], Verdict.FAIL, False),
}


@pytest.mark.parametrize("name", LISTS)
def test_the_worst_verdict_counts(name: str) -> None:
    """Fail > NoData > Inconclusive > Pass, of the acting gates alone."""
    verdicts, worst, proven = LISTS[name]
    listed = [GateStatus(name=str(i), verdict=v, dry_run=dry) for i, (v, dry) in enumerate(verdicts)]
    assert evidence.worst(listed) is worst
    assert evidence.proven(listed) is proven
    assert (evidence.failed(listed) is not None) is (worst is Verdict.FAIL)
    assert proven is bool(listed and not evidence.unproven(listed) and worst is Verdict.PASS)
