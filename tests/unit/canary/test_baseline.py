"""A dedicated baseline: when there is one, who waits for it, and what is never said of a candidate because of it."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason
from chaffinch_operator.canary.sizing import baseline_weight, split_share
from chaffinch_operator.canary.snapshot import ArmReading, GateReading, IntervalReading
from unit.canary.builders import Scene, moment, scene
from unit.canary.test_properties import changed, scenes

DEDICATED = {"baseline": "Dedicated"}
READY = scene().prepared().with_baseline()
LATE = READY.baseline(available=0, ready=0, ready_endpoints=0).at(601)
GROWING = (
    scene()
    .shifting(index=1)
    .with_baseline()
    .decision(Action.SHIFT, Reason.STEP_WEIGHT)
    .route(canary_weight=25)
    .baseline(available=1)
)


def test_what_a_candidate_is_compared_with_is_decided_when_it_starts() -> None:
    """It is in status from then on; a change of the spec is for the next candidate."""
    for choice, recorded in (("Dedicated", "Dedicated"), ("None", "")):
        started = scene().spec(canary={"baseline": choice}).held("v2").decide()
        assert started.verdict == (Action.START, Reason.INITIALIZING)
        assert started.state.baseline == recorded
        for other in ("None", "Dedicated"):
            assert started.spec(canary={"baseline": other}).decide().state.baseline == recorded
    back = scene().shifting().with_baseline().spec(canary={"baseline": "None"}).decide()
    assert back.state.baseline == "Dedicated"


def test_the_next_candidate_is_compared_as_the_spec_says_then() -> None:
    """A retry is a new start as well."""
    rejected = scene().rejected().with_baseline().gone().spec(canary={"baseline": "None"})
    again = rejected.ask("retry").decide()
    assert again.verdict[0] is Action.START
    assert again.state.baseline == ""


def test_at_rest_nothing_is_said_of_a_baseline() -> None:
    """A promoted candidate is compared with nothing any more."""
    promoted = scene().promoting().with_baseline().rolled("v2").gone()
    promoted = promoted.status(weight=promoted.state.weight.model_copy(update={"desired": 0})).decide()
    assert promoted.verdict == (Action.IDLE, Reason.PROMOTED)
    assert promoted.state.baseline == ""


WAITS: dict[str, Scene] = {
    "no baseline yet": READY.world(baseline=None),
    "no pod yet": READY.baseline(available=0),
    "of another template": READY.baseline(digest="old"),
    "on its way out": READY.baseline(deleting=True),
    "of another size": READY.baseline(desired=7),
    "not seen by its controller": READY.baseline(observed=False),
    "no Service yet": READY.baseline(service_exists=False),
    "no endpoint yet": READY.baseline(ready_endpoints=0),
}


@pytest.mark.parametrize("name", WAITS)
def test_no_weight_before_the_baseline_is_ready(name: str) -> None:
    """Both arms begin together."""
    waiting = WAITS[name].decide()
    assert waiting.verdict == (Action.START, Reason.INITIALIZING)
    assert waiting.state.weight.desired == 0
    assert READY.decide().verdict == (Action.SHIFT, Reason.STEP_WEIGHT)


def test_a_late_baseline_is_not_the_candidates_fault() -> None:
    """The candidate waits, the message names the baseline, the rollout is stalled, and nothing is rejected."""
    late = LATE.decide()
    assert late.verdict == (Action.START, Reason.BASELINE_NOT_AVAILABLE)
    for part in ("the baseline is not available after 600 s", "0 of 1 pods are available", "deployment web-baseline"):
        assert part in late.message
    assert "canary.baseline: None" in late.message
    assert late.condition("Stalled") == ("True", "BaselineNotAvailable")
    assert late.state.rejected_revisions == []
    assert late.decide().state == late.state


def test_a_late_baseline_may_still_come() -> None:
    """Then the candidate gets its weight."""
    late = LATE.decide()
    ready = READY.snap.baseline
    assert late.world(baseline=ready).at(5000).decide().verdict == (Action.SHIFT, Reason.STEP_WEIGHT)


def test_a_late_canary_is_the_candidates_fault_whatever_the_baseline_does() -> None:
    """It is rolled back, and the message names the canary."""
    for baseline in (LATE, READY.at(601)):
        late = baseline.canary(available=0).decide()
        assert late.verdict == (Action.ROLL_BACK, Reason.DEADLINE_EXCEEDED)
        assert "the canary is not available" in late.message


def test_the_baselines_time_runs_from_when_it_exists() -> None:
    """One that was deleted and made again has all of it."""
    assert LATE.baseline(created_at=moment(300)).decide().verdict[1] is Reason.INITIALIZING


def test_a_baseline_that_does_not_grow_keeps_the_weight() -> None:
    """The step's weight is not raised, nobody is blamed, and it goes on once the pods are there."""
    assert GROWING.decide().verdict == (Action.SHIFT, Reason.STEP_WEIGHT)
    late = GROWING.at(700).decide()
    assert late.verdict == (Action.SHIFT, Reason.BASELINE_NOT_AVAILABLE)
    assert late.condition("Stalled") == ("True", "BaselineNotAvailable")
    later = late.at(5000).decide()
    assert later.state.last_decision.at == late.state.last_decision.at
    assert later.baseline(available=2).decide().verdict == (Action.SHIFT, Reason.STEP_WEIGHT)
    assert GROWING.canary(available=1).at(700).decide().verdict == (Action.ROLL_BACK, Reason.DEADLINE_EXCEEDED)


def test_both_ready_a_gateway_that_does_not_follow_ends_it() -> None:
    """As without a baseline."""
    stuck = GROWING.baseline(available=2).at(700).decide()
    assert stuck.verdict == (Action.ROLL_BACK, Reason.DEADLINE_EXCEEDED)
    assert "does not carry the weight" in stuck.message


def test_a_weight_without_the_baselines_share_is_not_confirmed() -> None:
    """A person took its backend out of the route."""
    at_weight = scene().shifting().with_baseline()
    assert at_weight.decide().verdict == (Action.SHIFT, Reason.ANALYZING)
    assert at_weight.route(baseline=False).decide().verdict == (Action.SHIFT, Reason.STEP_WEIGHT)


def test_the_service_stays_narrowed_while_a_baseline_is_left() -> None:
    """Its pods have the Service's labels."""
    left = scene().rolling_back().with_baseline().world(canary=None).decide()
    assert left.state.isolated_hash == "hv1"
    assert left.verdict[0] is Action.ROLL_BACK
    assert left.world(baseline=None).route(canary_weight=None, baseline=False).decide().state.isolated_hash == ""


def test_by_replicas_the_weight_is_the_canarys_share_of_all_pods() -> None:
    """Four of stable's, one canary, one baseline: reported as it is."""
    before = scene().by_replicas().shifting().with_baseline()
    assert before.snap.canary is not None
    assert (before.snap.canary.ready, before.decide().state.weight.applied) == (1, round(100 / 6))


def test_the_observed_weight_counts_all_requests() -> None:
    """Those of stable's own pods as well, though they are not compared."""
    before = scene().shifting().with_baseline().at(100)
    arms = GateReading("errors", ArmReading(0, 250), ArmReading(0, 250), other_requests=500)
    seen = before.world(intervals=(IntervalReading(moment(30), moment(60), (arms,)),)).decide().state
    assert seen.weight.observed == "25.0"
    assert (seen.step.canary_requests, seen.step.total_requests, seen.step.other_requests) == (250, 500, 500)


@pytest.mark.parametrize("mode", ["Anytime", "GroupSequential"])
def test_a_gate_says_what_it_compares_with(mode: str) -> None:
    """In either mode."""
    before = scene().spec(analysis={"mode": mode}).shifting().at(100)
    for compared, told in ((before, "stable"), (before.with_baseline(), "baseline")):
        message = compared.interval(30, canary=(1, 100), baseline=(2, 100)).decide().state.gates[0].message
        assert f", {told} 2 of 100 (2.00 %)" in message


@given(st.integers(1, 99))
def test_the_intended_split_is_that_of_the_two_arms(weight: int) -> None:
    """One to one up to half of all requests, then as much as there is left for the baseline."""
    beside = baseline_weight(weight)
    assert beside == min(weight, 100 - weight)
    assert split_share(weight, dedicated=True) == weight / (weight + beside)
    assert split_share(weight, dedicated=False) == weight / 100


@settings(max_examples=150, deadline=None)
@given(scenes())
def test_a_baseline_alone_never_ends_a_candidate(before: Scene) -> None:
    """Whatever the baseline lacks, a rollback has a cause that would be there without it."""
    broken = changed(before, "a baseline that is not available")
    if before.verdict[0] in IN_FLIGHT and broken.decide().verdict[0] is Action.ROLL_BACK:
        assert before.decide().verdict[0] is Action.ROLL_BACK
