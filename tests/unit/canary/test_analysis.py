"""While a canary is judged: weights are confirmed, intervals folded, and the rollout goes on, waits, or ends."""

from __future__ import annotations

import pytest

from chaffinch_operator.canary.reasons import Action, Reason, Verdict
from chaffinch_operator.canary.snapshot import Blocker
from chaffinch_operator.canary.status import StepStatus, Weight
from unit.canary.builders import ERRORS, RESTARTS, Scene, moment, scene, stamp

STEPS_WITH_PAUSES = [
    {"setWeight": 25, "minDuration": "2m"},
    {"pause": {"duration": "1m"}},
    {"pause": {"duration": "1m"}},
    {"pause": {}},
    {"setWeight": 25, "minDuration": "10m"},
]
NO_DATA = Blocker(Reason.NO_DATA, "returns nothing")


def passing(before: Scene) -> Scene:
    """Every gate says Pass."""
    for gate in before.gates:
        before = before.gate(gate.name, Verdict.PASS)
    return before


def shift_decided(at: float = 0) -> Scene:
    """Step 2 was entered; the route still has the weight of step 1, confirmed long ago."""
    before = scene().shifting(index=0, since=-600).decision(Action.SHIFT, Reason.STEP_WEIGHT, at=at)
    weight = before.state.weight.model_copy(update={"desired": 50})
    return before.status(step=StepStatus(index=1), weight=weight).canary(desired=2, available=2, weight=50)


def test_a_weight_is_confirmed_once_it_is_read_back() -> None:
    """Written and accepted: the step's clock starts when it was written."""
    pending = shift_decided().at(1).decide()
    assert pending.verdict == (Action.SHIFT, Reason.STEP_WEIGHT)
    assert pending.state.step.started_at == ""
    confirmed = pending.route(canary_weight=50, weight_since=moment(2)).at(3).decide()
    assert confirmed.verdict == (Action.SHIFT, Reason.ANALYZING)
    assert (confirmed.state.step.started_at, confirmed.state.weight.since) == (stamp(2), stamp(2))


def test_an_unaccepted_weight_is_not_confirmed() -> None:
    """The gateway has not said that it follows; but intervals are cut from when the weight was written."""
    after = shift_decided().route(canary_weight=50, weight_since=moment(2), accepted=False).at(3).decide()
    assert after.verdict == (Action.SHIFT, Reason.STEP_WEIGHT)
    assert (after.state.step.started_at, after.state.weight.since) == ("", stamp(2))


def test_the_first_weight_starts_the_analysis_after_the_warm_up_on_the_grid() -> None:
    """Ten seconds of warm-up after 12:00:02, then the next half minute."""
    before = scene().shifting().decision(Action.SHIFT, Reason.STEP_WEIGHT)
    before = before.status(analysis_started_at="", interval_end="", step=StepStatus(), weight=Weight(desired=25))
    after = before.route(weight_since=moment(2)).at(3).decide()
    assert after.state.analysis_started_at == stamp(2)
    assert after.state.interval_end == stamp(30)


def test_an_equal_weight_gets_its_own_time() -> None:
    """Two steps of 25 %: the second counts from when it was entered, not from when 25 % was first applied."""
    before = (
        scene().shifting(since=-600).decision(Action.SHIFT, Reason.STEP_WEIGHT, at=0).status(step=StepStatus(index=1))
    )
    after = before.spec(steps=[{"setWeight": 25}, {"setWeight": 25}]).at(1).decide()
    assert after.state.step.started_at == stamp(0)


def test_a_route_without_our_annotation_is_no_hot_loop() -> None:
    """A user removed the annotation: the time known stays, so nothing is written in every pass."""
    before = scene().shifting().route(weight_since=None).decide()
    assert before.at(7).decide().state == before.state
    unknown = scene().shifting().route(weight_since=None).status(weight=Weight(desired=25, applied=25)).at(5).decide()
    assert unknown.state.weight.since == stamp(5)
    assert unknown.at(9).decide().state == unknown.state


def test_no_weight_has_no_time() -> None:
    """A pause before the first weight starts no clock."""
    before = scene().prepared().spec(steps=[{"pause": {}}, {"setWeight": 5}])
    before = before.decision(Action.PAUSE, Reason.APPROVAL_REQUIRED)
    assert before.decide().state.analysis_started_at == ""


def test_by_replicas_a_weight_counts_from_when_its_pods_are_there() -> None:
    """The Deployment was scaled at 0, its pods were available at 40: warm-up and step begin at 40."""
    before = scene().by_replicas().shifting(since=-300).decision(Action.SHIFT, Reason.STEP_WEIGHT)
    after = before.canary(weight_since=moment(0)).status(step=StepStatus()).at(40).decide()
    assert after.state.weight.since == stamp(40)
    assert after.at(50).decide().state == after.state
    waiting = before.canary(weight_since=moment(0), available=0).status(step=StepStatus(), weight=Weight(desired=25))
    assert waiting.at(40).decide().state.weight.since == ""


# intervals


def test_contiguous_intervals_are_folded() -> None:
    """Two intervals, one after the other, each once."""
    after = scene().shifting().interval(30).interval(60).at(100).decide()
    assert after.state.gates[0].canary.total == 200
    assert after.state.interval_end == stamp(90)
    assert (after.state.step.canary_requests, after.state.step.total_requests) == (200, 800)
    assert after.state.weight.observed == "25.0"


INTERVALS: dict[str, tuple[Scene, int, float]] = {
    "a duplicate is ignored": (scene().shifting().interval(30).interval(30), 100, 60),
    "a gap ends it": (scene().shifting().interval(30).interval(90), 100, 60),
    "an older one is ignored": (scene().shifting().interval(0).interval(30), 100, 60),
    "none": (scene().shifting(), 0, 30),
}


@pytest.mark.parametrize("name", INTERVALS)
def test_only_contiguous_intervals_count(name: str) -> None:
    """Evidence is of whole stretches of time, each counted once."""
    before, total, end = INTERVALS[name]
    after = before.at(200).decide()
    assert after.state.gates[0].canary.total == total
    assert after.state.interval_end == stamp(end)


@pytest.mark.parametrize(
    ("start", "counted"),
    [(0, True), (30, True), (60, False), (90, False), (120, True)],
    ids=["before", "until the change", "around the change", "within queryOffset of it", "after"],
)
def test_an_interval_in_which_the_weight_changed_is_passed_over(start: float, counted: bool) -> None:
    """The weight changed at 89 and was in force at 94: intervals that touch this stretch belong to no weight."""
    before = scene().shifting(index=1).judged(start).route(weight_since=moment(89)).at(200)
    after = before.interval(start).decide()
    assert (after.state.gates[0].canary.total == 100) is counted
    assert after.state.interval_end == stamp(start + 30)


def test_an_interval_of_an_earlier_weight_is_no_request_of_this_step() -> None:
    """It is evidence all the same, folded with the share that was measured."""
    before = scene().shifting(index=1).judged(0).route(weight_since=moment(89))
    before = before.status(step=StepStatus(index=1, started_at=stamp(89)))
    after = before.interval(0).at(200).decide()
    assert after.state.gates[0].canary.total == 100
    assert after.state.step.total_requests == 0


def test_evidence_is_kept_through_weights_pauses_and_a_problem() -> None:
    """Nothing but another candidate, or another design of the gate, starts a gate anew."""
    one = scene().shifting().interval(30).at(100).decide()
    blind = one.world(intervals=()).interval(60, problem=NO_DATA).decide()
    assert blind.state.gates[0].verdict is Verdict.NO_DATA
    assert blind.state.gates[0].evidence == one.state.gates[0].evidence
    changed = one.spec(analysis={"gates": [{**ERRORS, "marginRatio": "2"}, RESTARTS]}).world(intervals=()).decide()
    assert changed.state.gates[0].canary.total == 0
    dry = one.spec(analysis={"gates": [{**ERRORS, "dryRun": True}, RESTARTS]}).world(intervals=()).decide()
    assert dry.state.gates[0].canary.total == 100
    assert dry.state.gates[0].dry_run


def test_gates_that_are_edited_out_are_gone_and_new_ones_have_no_data() -> None:
    """What is not there cannot fail; what is new proves nothing yet."""
    edited = {**ERRORS, "name": "other"}
    after = passing(scene().shifting()).spec(analysis={"gates": [edited, RESTARTS]}).decide()
    assert [(g.name, g.verdict) for g in after.state.gates] == [
        ("other", Verdict.NO_DATA),
        ("restarts", Verdict.PASS),
    ]


# what ends it


def test_harm_rolls_back() -> None:
    """A gate that proved harm ends the rollout in the very pass, weight first."""
    after = scene().shifting().interval(30, canary=(60, 100), baseline=(1, 300)).at(65).decide()
    assert after.verdict == (Action.ROLL_BACK, Reason.GATE_FAILED)
    assert "errors: canary 60 of 100 (60.00 %), stable 1 of 300 (0.33 %)" in after.message
    assert after.state.weight.desired == 0


@pytest.mark.parametrize("action", [Action.SHIFT, Action.PAUSE, Action.HOLD])
def test_harm_rolls_back_whatever_it_waits_for(action: Action) -> None:
    """Also in a pause, also while it holds, also while Prometheus is away."""
    before = scene().shifting(index=1).decision(action, Reason.PAUSED).unreachable()
    assert before.canary(restarts=3).decide().verdict == (Action.ROLL_BACK, Reason.GATE_FAILED)


def test_a_dry_run_never_acts() -> None:
    """It is judged and reported; neither its harm nor its lack of proof counts."""
    dry = {**ERRORS, "dryRun": True}
    harmful = scene().spec(analysis={"gates": [dry, RESTARTS]}).holding().interval(300, canary=(90, 100)).at(340)
    after = harmful.decide()
    assert after.state.gates[0].verdict is Verdict.FAIL
    assert after.verdict == (Action.PROMOTE, Reason.GATES_PASSED)


def test_dry_runs_alone_prove_nothing() -> None:
    """With no acting gate it holds, and says how to go on."""
    after = scene().spec(analysis={"gates": [{**ERRORS, "dryRun": True}]}).holding().decide()
    assert after.verdict == (Action.HOLD, Reason.INSUFFICIENT_EVIDENCE)
    assert "kubectl chaffinch promote web --force" in after.message


def test_a_canary_that_is_gone_proves_nothing() -> None:
    """A user deleted the canary Deployment: restarts cannot be counted, so nothing is promoted."""
    only = scene().spec(analysis={"gates": [RESTARTS], "provider": None})
    assert only.holding().decide().verdict == (Action.PROMOTE, Reason.GATES_PASSED)
    gone = only.holding().world(canary=None).decide()
    assert gone.verdict == (Action.HOLD, Reason.NO_DATA)
    assert [type(op).__name__ for op in gone.plan()] == ["Apply", "Apply", "Apply"]


def test_a_canary_lost_at_a_step_is_applied_again() -> None:
    """The weight falls by the plan; the step waits until it is back, from a deadline of its own."""
    lost = scene().shifting().world(canary=None).route(canary_weight=0, weight_since=moment(60)).at(700).decide()
    assert lost.verdict == (Action.SHIFT, Reason.STEP_WEIGHT)
    again = lost.canary(available=0, weight=25, weight_since=moment(701))
    assert again.at(1299).decide().verdict == (Action.SHIFT, Reason.STEP_WEIGHT)
    assert again.at(1302).decide().verdict == (Action.ROLL_BACK, Reason.DEADLINE_EXCEEDED)


def test_a_weight_that_cannot_be_applied_in_time_rolls_back() -> None:
    """The message says what is missing."""
    pending = shift_decided().canary(desired=2, available=1, weight_since=moment(1))
    assert pending.at(590).decide().verdict == (Action.SHIFT, Reason.STEP_WEIGHT)
    late = pending.at(601).decide()
    assert late.verdict == (Action.ROLL_BACK, Reason.DEADLINE_EXCEEDED)
    assert "weight 50 % is not applied after 600 s" in late.message
    assert "1 of 2 pods are available" in late.message
    refused = shift_decided().canary(desired=2, available=2, weight_since=moment(1)).at(700).decide()
    assert "HTTPRoute web does not carry the weight" in refused.message


def test_an_operator_that_was_away_costs_no_deadline() -> None:
    """The decision was written, then the operator was down for an hour: the canary was never asked to grow."""
    away = shift_decided().canary(desired=1, available=1, weight=25, weight_since=moment(-600)).at(3600)
    assert away.decide().verdict == (Action.SHIFT, Reason.STEP_WEIGHT)


def test_a_step_caught_up_on_has_a_new_deadline() -> None:
    """Step 1 was over when the operator came back: step 2 gets its own time to be applied."""
    before = scene().shifting().decision(Action.SHIFT, Reason.STEP_WEIGHT, at=0).judged(900).at(930)
    entered = before.decide()
    assert entered.verdict == (Action.SHIFT, Reason.STEP_WEIGHT)
    assert entered.state.last_decision.at == stamp(930)
    assert entered.at(931).decide().verdict == (Action.SHIFT, Reason.STEP_WEIGHT)


# going on


def test_a_step_is_kept_as_long_as_it_says() -> None:
    """Two minutes, and at least one whole settled interval judged."""
    before = scene().shifting(since=0).gate("errors", Verdict.INCONCLUSIVE)
    assert before.judged(90).at(119).decide().verdict == (Action.SHIFT, Reason.ANALYZING)
    assert before.judged(30).at(121).decide().verdict == (Action.SHIFT, Reason.ANALYZING)
    after = before.judged(90).at(121).decide()
    assert after.verdict == (Action.SHIFT, Reason.STEP_WEIGHT)
    assert (after.state.weight.desired, after.state.step.index) == (50, 1)
    assert after.state.step.started_at == ""


def test_a_step_without_minimum_takes_two_minutes() -> None:
    """The documented default."""
    before = scene().spec(steps=[{"setWeight": 25}, {"setWeight": 50}]).shifting().judged(90)
    assert before.at(119).decide().state.step.index == 0
    assert before.at(120).decide().state.step.index == 1


def test_no_weight_is_raised_without_data() -> None:
    """Missing data is neither proof nor harm."""
    after = scene().shifting().gate("errors", Verdict.NO_DATA, "errors: returns nothing").judged(120).at(125).decide()
    assert after.verdict == (Action.SHIFT, Reason.NO_DATA)
    assert "weight 25 % is kept: errors: returns nothing" in after.message
    unreachable = scene().shifting().judged(120).at(125).unreachable().decide()
    assert unreachable.verdict == (Action.SHIFT, Reason.PROVIDER_UNREACHABLE)
    assert unreachable.state.weight.desired == 25


def test_nothing_goes_on_while_something_forbids_it() -> None:
    """Someone set strategy Recreate mid-flight: promotion would drop stable's pods."""
    step = passing(scene().shifting()).judged(120).at(125).target(recreate=True).decide()
    assert step.verdict == (Action.SHIFT, Reason.STRATEGY_RECREATE)
    last = passing(scene().holding()).target(recreate=True).decide()
    assert last.verdict == (Action.HOLD, Reason.STRATEGY_RECREATE)
    assert last.target(recreate=False).decide().verdict == (Action.PROMOTE, Reason.GATES_PASSED)


def test_steps_and_pauses_in_order() -> None:
    """Two timed pauses in a row take their time each; an open one waits for a person; the weight stays."""
    now = passing(scene().spec(steps=STEPS_WITH_PAUSES).shifting()).judged(120).at(130).decide()
    assert now.verdict == (Action.PAUSE, Reason.PAUSED)
    assert "pauses at weight 25 % for 1m" in now.message
    assert now.at(185).decide().state.step.index == 1
    now = passing(now.at(191)).decide()
    assert (now.verdict, now.state.step.index) == ((Action.PAUSE, Reason.PAUSED), 2)
    assert now.at(240).decide().state.step.index == 2
    now = passing(now.at(252)).decide()
    assert (now.verdict, now.state.step.index) == ((Action.PAUSE, Reason.APPROVAL_REQUIRED), 3)
    assert now.at(9999).decide().verdict == (Action.PAUSE, Reason.APPROVAL_REQUIRED)
    now = now.ask("promote").at(300).decide()
    assert (now.verdict, now.state.weight.desired) == ((Action.SHIFT, Reason.STEP_WEIGHT), 25)


def test_a_pause_that_is_over_waits_for_data() -> None:
    """The weight is not raised while nobody knows how the canary does; the pause's time is not started anew."""
    steps = [{"setWeight": 25}, {"pause": {"duration": "1m"}}, {"setWeight": 50}]
    paused = passing(scene().spec(steps=steps).shifting()).status(step=StepStatus(index=1))
    paused = paused.decision(Action.PAUSE, Reason.PAUSED).at(70)
    blind = paused.unreachable().decide()
    assert blind.verdict == (Action.PAUSE, Reason.PAUSED)
    assert "the pause is over" in blind.message
    assert blind.at(99).decide().state == blind.state
    assert "returns nothing" in paused.gate("errors", Verdict.NO_DATA, "returns nothing").decide().message
    assert blind.world(provider_problem=None).at(100).decide().verdict == (Action.SHIFT, Reason.STEP_WEIGHT)


def test_a_pause_before_the_first_weight_needs_no_data() -> None:
    """There is no traffic to have data of."""
    before = scene().spec(steps=[{"pause": {"duration": "1m"}}, {"setWeight": 5}]).prepared().decide()
    paused = before.decision(Action.PAUSE, Reason.PAUSED)
    assert paused.at(61).decide().verdict == (Action.SHIFT, Reason.STEP_WEIGHT)


def test_a_blocked_pause_says_why() -> None:
    """It keeps its reason, so that its time goes on."""
    steps = [{"setWeight": 25}, {"pause": {"duration": "1m"}}, {"setWeight": 50}]
    paused = passing(scene().spec(steps=steps).shifting()).status(step=StepStatus(index=1))
    after = paused.decision(Action.PAUSE, Reason.PAUSED).blocker(Reason.HOLD_NOT_INSTALLED, "no hold").at(70).decide()
    assert after.verdict == (Action.PAUSE, Reason.PAUSED)
    assert "no hold" in after.message


# the end of the steps


def test_evidence_promotes() -> None:
    """Every acting gate has proven it at the last step."""
    after = passing(scene().shifting(index=1)).judged(120).at(125).decide()
    assert after.verdict == (Action.PROMOTE, Reason.GATES_PASSED)
    assert after.state.weight.desired == 50


def test_it_holds_until_there_is_evidence() -> None:
    """The steps are over, a gate is inconclusive: the weight is kept."""
    after = passing(scene().shifting(index=1)).gate("errors", Verdict.INCONCLUSIVE).judged(120).at(125).decide()
    assert after.verdict == (Action.HOLD, Reason.INSUFFICIENT_EVIDENCE)
    assert after.gate("errors", Verdict.PASS).decide().verdict == (Action.PROMOTE, Reason.GATES_PASSED)
    assert after.gate("errors", Verdict.NO_DATA).decide().verdict == (Action.HOLD, Reason.NO_DATA)


def test_duration_needs_data_but_no_proof() -> None:
    """promotion.require: Duration promotes when the steps are over and no gate found harm."""
    before = scene().spec(promotion={"require": "Duration"}).shifting(index=1).judged(120).at(125)
    assert before.decide().verdict == (Action.PROMOTE, Reason.DURATION_ELAPSED)
    blind = before.gate("errors", Verdict.NO_DATA).decide()
    assert blind.verdict == (Action.SHIFT, Reason.NO_DATA)
    assert before.at(9000).decide().verdict == (Action.PROMOTE, Reason.DURATION_ELAPSED)


LATE: dict[str, tuple[str, Verdict, tuple[Action, Reason]]] = {
    "Hold keeps the weight": ("Hold", Verdict.INCONCLUSIVE, (Action.HOLD, Reason.INCONCLUSIVE)),
    "Promote promotes": ("Promote", Verdict.INCONCLUSIVE, (Action.PROMOTE, Reason.INCONCLUSIVE)),
    "Rollback rolls back": ("Rollback", Verdict.INCONCLUSIVE, (Action.ROLL_BACK, Reason.INCONCLUSIVE)),
    "without data Promote holds": ("Promote", Verdict.NO_DATA, (Action.HOLD, Reason.NO_DATA)),
    "without data Rollback holds": ("Rollback", Verdict.NO_DATA, (Action.HOLD, Reason.NO_DATA)),
    "proof comes first": ("Rollback", Verdict.PASS, (Action.PROMOTE, Reason.GATES_PASSED)),
}


@pytest.mark.parametrize("name", LATE)
def test_after_max_duration(name: str) -> None:
    """Two hours after the first weight."""
    choice, verdict, expected = LATE[name]
    before = scene().spec(promotion={"onInconclusive": choice}).holding().gate("errors", verdict).judged(7170)
    early = before.at(7199).decide().verdict[1]
    assert early is not Reason.INCONCLUSIVE
    after = before.at(7200).decide()
    assert after.verdict == expected
    if expected[0] is Action.HOLD:
        assert after.at(7300).decide().state == after.state


def test_after_max_duration_nothing_is_decided_while_prometheus_is_away() -> None:
    """The verdicts are old; a rollback or a promotion on them would be one on no data."""
    for choice in ("Promote", "Rollback"):
        before = scene().spec(promotion={"onInconclusive": choice}).holding().at(8000).unreachable()
        assert before.decide().verdict == (Action.HOLD, Reason.PROVIDER_UNREACHABLE)


def test_after_max_duration_a_blocked_rollout_is_not_promoted() -> None:
    """Recreate would drop stable's share."""
    before = scene().spec(promotion={"onInconclusive": "Promote"}).holding().at(8000).target(recreate=True)
    assert before.decide().verdict[0] is Action.HOLD


def test_max_duration_spares_pauses() -> None:
    """A person's time is not the canary's."""
    before = (
        scene().spec(steps=[{"setWeight": 25}, {"pause": {}}], promotion={"onInconclusive": "Rollback"}).shifting(1)
    )
    before = before.decision(Action.PAUSE, Reason.APPROVAL_REQUIRED).at(9000)
    assert before.decide().verdict[0] is Action.PAUSE


def test_steps_that_are_left_after_max_duration_are_gone_through() -> None:
    """Held at step 1 for want of evidence; once proven it goes on with step 2, not straight to all requests."""
    held = scene().shifting().judged(7170).at(7200).decide()
    assert held.verdict == (Action.HOLD, Reason.INCONCLUSIVE)
    after = passing(held).decide()
    assert after.verdict == (Action.SHIFT, Reason.STEP_WEIGHT)
    assert after.state.weight.desired == 50


@pytest.mark.parametrize("action", [Action.SHIFT, Action.PAUSE, Action.HOLD])
def test_steps_edited_away_lead_to_the_end(action: Action) -> None:
    """The index lies beyond the steps: there is nothing left to go through."""
    before = passing(scene().spec(steps=[{"setWeight": 25}] * 3).shifting(index=2)).judged(120).at(125)
    edited = before.decision(action, Reason.PAUSED).spec(steps=[{"setWeight": 25}])
    assert edited.decide().verdict == (Action.PROMOTE, Reason.GATES_PASSED)


def test_the_clock_jumps_back() -> None:
    """Times that lie ahead count as not yet over; nothing moves, nothing raises."""
    before = passing(scene().shifting(index=1)).judged(120).at(-4000)
    after = before.decide()
    assert after.verdict == (Action.SHIFT, Reason.ANALYZING)
    assert after.at(-3000).decide().state == after.state
