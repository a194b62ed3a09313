"""A release as its CanaryRollout told it."""

from chaffinch_operator.canary.reasons import Action
from demo.course import Course
from unit.demo.builders import BEGIN, at, at_weight, gate, rolled_back, state


def test_what_was_decided_before_does_not_count() -> None:
    """The last release's rollback is not this one's."""
    course = Course(BEGIN)
    course.see(state("RollBack", "GateFailed", -60))
    course.see(state("Idle", "Promoted", -30))
    assert course.decision is None
    assert not course.settled


def test_weights_are_kept_with_the_operators_counts() -> None:
    """One step for each confirmed weight, over when the next begins."""
    course = Course(BEGIN)
    course.see(at_weight(10, 5, 20, 200))
    course.see(at_weight(10, 5, 40, 400))
    course.see(at_weight(25, 30, 60, 240))
    assert [(s.weight, s.canary, s.total) for s in course.steps] == [(10, 40, 400), (25, 60, 240)]
    assert [(s.since, s.until) for s in course.steps] == [(at(5), at(30)), (at(30), None)]


def test_a_weight_that_is_not_confirmed_is_no_step() -> None:
    """Decided is not applied."""
    course = Course(BEGIN)
    course.see(state("Shift", "StepWeight", 3, weight={"desired": 10, "applied": 0}))
    assert course.steps == []


def test_a_rollback_is_over_when_the_candidate_is_rejected() -> None:
    """Decision, its sentences and its counts are those of the moment it was made."""
    course = rolled_back().course
    assert course.decision is not None
    assert course.decision.action is Action.ROLL_BACK
    assert course.decision.sentences == ("errors: canary 4 of 90",)
    assert (course.decision.canary.total, course.decision.stable.total) == (90, 910)
    assert course.seconds_to_decision == 20
    assert course.settled


def test_a_promotion_is_over_when_the_target_has_rolled() -> None:
    """Idle again."""
    course = Course(BEGIN)
    course.see(at_weight(50, 5, 500, 1000))
    course.see(state("Promote", "GatesPassed", 40, gates=[gate("errors", "Pass", 0, 500, 500)]))
    assert not course.settled
    course.see(state("Idle", "Promoted", 50))
    assert course.settled


def test_the_first_decision_stands() -> None:
    """Taking the candidate back afterwards is not the operator's decision."""
    course = rolled_back().course
    course.see(state("Release", "Reverted", 30))
    course.see(state("Idle", "Promoted", 31))
    assert course.decision is not None
    assert course.decision.action is Action.ROLL_BACK
