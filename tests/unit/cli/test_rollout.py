"""Reading CanaryRollouts, also those of other versions."""

from chaffinch_operator.cli.outcome import Outcome, outcome_of
from chaffinch_operator.cli.rollout import rollout_of
from unit.cli.builders import at_rest, decision, gate, rejected, rollout, spec, status


def test_a_rollout_without_status_is_unseen() -> None:
    """No status is not the same as being at rest."""
    read = rollout_of(rollout())
    assert (read.seen, read.action, outcome_of(read)) == (False, "", Outcome.RUNNING)


def test_an_unknown_reason_keeps_its_word_and_is_named() -> None:
    """A newer operator's reason is shown as it is, not as the default one."""
    read = rollout_of(rollout(status=status(lastDecision=decision("Shift", "MoonPhase"))))
    assert (read.action, read.reason, read.left_out) == ("Shift", "MoonPhase", ("status.lastDecision.reason",))


def test_an_unknown_verdict_costs_only_that_gate_its_verdict() -> None:
    """The rest of the status is read."""
    read = rollout_of(rollout(status=status(gates=[gate("a", "Maybe"), gate("b", "Pass")])))
    assert [g.name for g in read.status.gates] == ["a", "b"]
    assert read.left_out == ("status.gates.0.verdict",)


def test_a_gate_without_a_name_is_left_out() -> None:
    """What lacks a required field is dropped whole, and its neighbours stay."""
    read = rollout_of(rollout(status=status(gates=[{"verdict": "Pass"}, gate("b", "Pass")])))
    assert [g.name for g in read.status.gates] == ["b"]


def test_a_spec_of_another_shape_still_names_its_target() -> None:
    """A spec this version cannot read costs the steps and thresholds, nothing else."""
    read = rollout_of(rollout(spec={"targetRef": {"name": "checkout"}, "steps": "all"}, status=status()))
    assert (read.spec, read.target, read.steps) == (None, "checkout", ())


def test_a_status_about_an_older_spec_is_not_the_end() -> None:
    """Until the operator has seen the new spec the rollout counts as running."""
    read = rollout_of(rollout(status=at_rest(observedGeneration=2)))
    assert (read.outdated, outcome_of(read)) == (True, Outcome.RUNNING)


def test_outcomes_follow_the_decision() -> None:
    """At rest, rolled back, waiting and running are told apart."""
    states = [at_rest(), rejected(), status("Hold", "InsufficientEvidence"), status()]
    assert [outcome_of(rollout_of(rollout(status=s))) for s in states] == [
        Outcome.AT_REST,
        Outcome.ROLLED_BACK,
        Outcome.WAITING,
        Outcome.RUNNING,
    ]


def test_a_stalled_condition_is_the_end() -> None:
    """Whatever was decided, Stalled=True needs a person."""
    stalled = {
        "type": "Stalled",
        "status": "True",
        "reason": "ServiceNotFound",
        "message": "",
        "observedGeneration": 3,
        "lastTransitionTime": "",
    }
    read = rollout_of(rollout(status=status("Wait", "ServiceNotFound", conditions=[stalled])))
    assert outcome_of(read) is Outcome.STALLED


def test_defaults_of_the_spec_are_filled_in() -> None:
    """A spec that names no steps has the default ones."""
    minimal = spec()
    del minimal["steps"]
    assert len(rollout_of(rollout(spec=minimal)).steps) == 3
