"""With a canary: how it starts, what ends it, how the target is released and everything removed again."""

from __future__ import annotations

import pytest

from chaffinch_operator.canary.reasons import Action, Reason, Verdict
from unit.canary.builders import Scene, digest, moment, replica_set, rev, scene, stamp

# starting


def test_a_ready_canary_gets_the_first_weight() -> None:
    """Available, isolated, known to the gateway."""
    after = scene().prepared().decide()
    assert after.verdict == (Action.SHIFT, Reason.STEP_WEIGHT)
    assert (after.state.weight.desired, after.state.step.index) == (25, 0)


UNREADY: dict[str, Scene] = {
    "no canary": scene().prepared().world(canary=None),
    "a canary of another template": scene().prepared().canary(digest="other"),
    "a canary that is leaving": scene().prepared().canary(deleting=True),
    "a pod too few": scene().prepared().canary(available=0),
    "not scaled yet": scene().prepared().canary(desired=3, available=3),
    "a controller that has not looked": scene().prepared().canary(observed=False),
    "an open Service": scene().prepared().service(selector={"app": "web"}),
    "no Service": scene().prepared().world(service=None),
    "no canary Service": scene().prepared().canary(service_exists=False),
    "no ready endpoint": scene().prepared().canary(ready_endpoints=0),
    "a route not accepted": scene().prepared().route(accepted=False),
    "no route": scene().prepared().world(route=None),
}


@pytest.mark.parametrize("name", UNREADY)
def test_it_does_not_shift_with(name: str) -> None:
    """Nothing is sent to a canary that cannot take it, or that others can reach."""
    after = UNREADY[name].at(1).decide()
    assert after.verdict[0] is Action.START
    assert after.state.weight.desired == 0
    assert after.at(2).decide().state == after.state


@pytest.mark.parametrize("name", [n for n in UNREADY if n not in {"no canary", "no Service"}])
def test_what_is_missing_at_the_deadline_is_named(name: str) -> None:
    """ProgressDeadlineSeconds after the canary was made."""
    late = UNREADY[name].at(600).decide()
    assert late.verdict == (Action.ROLL_BACK, Reason.DEADLINE_EXCEEDED)
    assert "the canary is not available after 600 s (progressDeadlineSeconds): " in late.message
    assert "kubectl describe deployment web-canary" in late.message


def test_an_operator_that_was_away_costs_no_deadline() -> None:
    """The canary does not exist yet, or was made a moment ago: its time has not passed."""
    assert scene().starting().at(5000).decide().verdict == (Action.START, Reason.INITIALIZING)
    young = scene().prepared().canary(available=0, created_at=moment(4999)).at(5000)
    assert young.decide().verdict == (Action.START, Reason.INITIALIZING)
    undated = scene().prepared().canary(available=0, created_at=None).at(600)
    assert undated.decide().verdict == (Action.ROLL_BACK, Reason.DEADLINE_EXCEEDED)
    nothing = undated.status(candidate_since="")
    assert nothing.decide().verdict == (Action.START, Reason.INITIALIZING)


def test_a_start_that_is_blocked_says_why_and_is_no_fault_of_the_candidate() -> None:
    """It waits beyond the deadline, and goes on once the way is free."""
    before = scene().prepared().canary(available=0)
    blocked = before.blocker(Reason.ROUTE_NOT_ACCEPTED, "NoMatchingParent").at(900).decide()
    assert blocked.verdict == (Action.START, Reason.ROUTE_NOT_ACCEPTED)
    away = scene().prepared().unreachable().at(900).decide()
    assert away.verdict == (Action.START, Reason.PROVIDER_UNREACHABLE)
    assert away.world(provider_problem=None).decide().verdict[0] is Action.SHIFT


def test_by_replicas_it_needs_no_isolation() -> None:
    """The Service spans both; available pods are enough."""
    assert scene().by_replicas().prepared().decide().verdict == (Action.SHIFT, Reason.STEP_WEIGHT)
    assert scene().by_replicas().held("v2").decide().state.isolated_hash == ""


# what ends it

CANARIES = {
    "starting": scene().prepared(),
    "at a step": scene().shifting(),
    "paused": scene().shifting().decision(Action.PAUSE, Reason.APPROVAL_REQUIRED),
    "holding": scene().holding(),
}


@pytest.mark.parametrize("name", CANARIES)
def test_a_revert_ends_it_without_a_verdict(name: str) -> None:
    """Stable's template is back: weight zero, canary away, released, and it counts neither for nor against."""
    after = CANARIES[name].held("v1").decide()
    assert after.verdict == (Action.RELEASE, Reason.REVERTED)
    assert after.state.weight.desired == 0
    assert [h.result for h in after.state.history] == ["Reverted"]
    assert after.state.history[0].digest == digest("v2")
    home = after.gone().decide()
    assert home.state.isolated_hash == ""
    assert [type(op).__name__ for op in home.plan()] == ["Unpause"]
    done = home.rolled("v1").decide()
    assert done.verdict == (Action.IDLE, Reason.PROMOTED)
    assert done.state.rejected_revisions == []


@pytest.mark.parametrize("name", CANARIES)
def test_another_template_starts_over(name: str) -> None:
    """Weight zero first, then the canary goes, then the new one starts without any evidence of the old."""
    after = CANARIES[name].held("v3").decide()
    assert after.verdict == (Action.ABANDON, Reason.SUPERSEDED)
    assert after.state.weight.desired == 0
    assert (after.state.history[0].result, after.state.history[0].reason) == ("Superseded", Reason.SUPERSEDED)
    assert after.decide().state == after.state
    over = after.gone().decide()
    assert over.verdict == (Action.START, Reason.INITIALIZING)
    assert over.state.gates == []
    assert over.state.candidate == rev("v3", "")


def test_a_known_template_mid_flight_is_released() -> None:
    """An emergency revert beyond stable never waits."""
    after = scene().shifting().status(promoted_revisions=[digest("v1"), digest("v0")]).held("v0").decide()
    assert after.verdict == (Action.RELEASE, Reason.KNOWN_REVISION)
    done = after.gone().decide().rolled("v0").decide()
    assert [h.result for h in done.state.history] == ["Released", "Reverted"]


@pytest.mark.parametrize("name", CANARIES)
def test_a_target_that_is_deleted_ends_it(name: str) -> None:
    """The canary goes; the Service is not left narrowed to pods that are gone."""
    after = CANARIES[name].world(target=None).decide()
    assert after.verdict == (Action.ABANDON, Reason.TARGET_NOT_FOUND)
    assert after.state.isolated_hash == ""
    assert after.gone().decide().verdict == (Action.WAIT, Reason.TARGET_NOT_FOUND)


def test_a_target_made_anew_with_a_third_template_leaves_no_service_without_pods() -> None:
    """Its ReplicaSets are others: the Service is widened at once."""
    new = scene().shifting().held("v3").target(uid="new", paused=False, replica_sets=(replica_set("v3", 1),)).decide()
    assert new.verdict == (Action.ABANDON, Reason.SUPERSEDED)
    assert new.state.isolated_hash == ""


@pytest.mark.parametrize("name", CANARIES)
def test_un_paused_from_outside_it_is_a_promotion(name: str) -> None:
    """Whoever may un-pause has released the candidate; what happens is told as it is."""
    after = CANARIES[name].target(paused=False).decide()
    assert after.verdict == (Action.PROMOTE, Reason.PROMOTED_BY_USER)
    assert "un-paused from outside" in after.message
    assert after.state.isolated_hash == ""


def test_un_paused_during_a_rollback_the_service_is_widened() -> None:
    """Stable's pods are leaving: a Service narrowed to them would have no endpoints."""
    back = scene().rolling_back().decide()
    assert back.state.isolated_hash == "hv1"
    assert back.target(paused=False).decide().state.isolated_hash == ""


# rolling back


def test_a_rollback_ends_rejected() -> None:
    """Once nothing is left, the candidate is rejected and stays held, the numbers in history."""
    before = scene().rolling_back()
    assert before.decide().verdict == (Action.ROLL_BACK, Reason.GATE_FAILED)
    after = before.gone().decide()
    assert after.verdict == (Action.REJECTED, Reason.ROLLED_BACK)
    assert after.message == "rolled back: gate errors: 5x"
    assert after.state.rejected_revisions == [digest("v2")]
    assert (after.state.history[0].result, after.state.history[0].message) == ("RolledBack", "gate errors: 5x")
    assert after.decide().state == after.state


def test_a_rollback_without_a_candidate_rejects_nothing() -> None:
    """A status that was tampered with does not raise."""
    after = scene().rolling_back().gone().status(candidate=None).decide()
    assert after.verdict[0] is Action.REJECTED
    assert after.state.rejected_revisions == []


def test_weight_zero_is_drained_from_when_it_was_written() -> None:
    """ScaleDownDelaySeconds counts from the route's own time, also when the canary Deployment is gone already."""
    zero = scene().rolling_back().route(canary_weight=0, weight_since=moment(7)).decide()
    assert zero.state.drained_at == stamp(7)
    assert zero.world(canary=None).decide().state.drained_at == stamp(7)
    unknown = zero.route(weight_since=None).status(drained_at="").at(9).decide()
    assert unknown.state.drained_at == stamp(9)
    assert unknown.at(50).decide().state.drained_at == stamp(9)
    assert zero.gone().decide().state.drained_at == ""
    assert scene().rolling_back().decide().state.drained_at == ""


# promoting


def test_a_promotion_ends_at_rest() -> None:
    """The target rolls, then the weight goes to stable, then the canary, then v2 is stable."""
    rolling = scene().promoting()
    assert rolling.decide().state == rolling.state
    under_way = rolling.target(paused=False, replica_sets=(replica_set("v1", 1), replica_set("v2", 3)))
    assert under_way.decide().state == under_way.state
    rolled = rolling.rolled("v2").decide()
    assert rolled.state.weight.desired == 0
    assert rolled.verdict == (Action.PROMOTE, Reason.GATES_PASSED)
    assert rolled.decide().state == rolled.state
    done = rolled.gone().decide()
    assert done.verdict == (Action.IDLE, Reason.PROMOTED)
    assert done.state.stable == rev("v2")
    assert done.state.promoted_revisions == [digest("v2"), digest("v1")]
    assert done.state.candidate is None
    assert (done.state.history[0].result, done.state.history[0].reason) == ("Promoted", Reason.GATES_PASSED)


def test_forced_before_any_weight_it_waits_for_the_target_all_the_same() -> None:
    """No canary has a share, so it is gone at once; promoted it is only when the target has rolled."""
    forced = scene().prepared().ask("promote-force").decide()
    gone = forced.gone().decide()
    assert gone.verdict == (Action.PROMOTE, Reason.PROMOTED_BY_USER)
    assert [type(op).__name__ for op in gone.plan()] == ["Unpause"]
    rolling = gone.target(paused=False).decide()
    assert rolling.verdict == (Action.PROMOTE, Reason.PROMOTED_BY_USER)
    assert rolling.rolled("v2").decide().verdict == (Action.IDLE, Reason.PROMOTED)


def test_a_target_that_does_not_roll_is_stalled_until_it_does() -> None:
    """The Deployment exceeds its own deadline: a person must look; it goes on by itself once it can."""
    stuck = scene().promoting().target(paused=False, stuck="ReplicaSet web-hv2 timed out").decide()
    assert stuck.verdict == (Action.PROMOTE, Reason.PROMOTION_STUCK)
    assert "ReplicaSet web-hv2 timed out" in stuck.message
    assert stuck.condition("Stalled") == ("True", "PromotionStuck")
    assert stuck.decide().state == stuck.state
    free = stuck.target(stuck="").decide()
    assert free.verdict == (Action.PROMOTE, Reason.PROMOTED_BY_USER)
    proven = stuck.gate("errors", Verdict.PASS).gate("restarts", Verdict.PASS).target(stuck="").decide()
    assert proven.verdict == (Action.PROMOTE, Reason.GATES_PASSED)


def test_another_template_before_the_target_rolls_supersedes() -> None:
    """Still on v1: the canary of v2 goes, v3 gets its own."""
    after = scene().promoting().held("v3").decide()
    assert after.verdict == (Action.ABANDON, Reason.SUPERSEDED)
    assert after.state.stable == rev("v1")


def test_another_template_while_the_target_rolls_waits_for_a_person() -> None:
    """Two revisions have pods: v3 stays held until v2 is applied again, v1 is, or v3 is forced."""
    mixed = scene().promoting().running(replica_set("v1", 2), replica_set("v2", 2))
    stuck = mixed.held("v3").decide()
    assert stuck.verdict == (Action.PROMOTE, Reason.PROMOTION_INTERRUPTED)
    assert stuck.plan() == ()
    assert stuck.decide().state == stuck.state
    assert stuck.condition("Stalled") == ("True", "PromotionInterrupted")
    back = stuck.held("v2").decide()
    assert back.verdict == (Action.PROMOTE, Reason.PROMOTED_BY_USER)
    assert [type(op).__name__ for op in back.plan()] == ["Unpause"]
    assert stuck.held("v1").decide().verdict == (Action.RELEASE, Reason.REVERTED)
    assert stuck.ask("promote-force").decide().verdict == (Action.RELEASE, Reason.PROMOTED_BY_USER)


def test_another_template_after_the_target_rolled_finds_it_promoted() -> None:
    """v2 runs everywhere, only its canary is still there: v2 is stable, and v3 is compared with it."""
    after = scene().promoting().rolled("v2").held("v3").decide()
    assert after.verdict == (Action.ABANDON, Reason.SUPERSEDED)
    assert after.state.stable == rev("v2")
    assert after.state.promoted_revisions == [digest("v2"), digest("v1")]
    assert after.state.history[0].result == "Promoted"
    over = after.gone().decide()
    assert over.verdict == (Action.START, Reason.INITIALIZING)
    assert over.state.isolated_hash == "hv2"
    assert scene().promoting().rolled("v2").held("v1").decide().verdict == (Action.RELEASE, Reason.KNOWN_REVISION)


def test_a_target_that_is_deleted_ends_a_promotion() -> None:
    """There is nothing to release any more."""
    for broken in (scene().promoting().world(target=None), scene().promoting().status(candidate=None)):
        assert broken.decide().verdict == (Action.ABANDON, Reason.TARGET_NOT_FOUND)


# from outside


@pytest.mark.parametrize("name", CANARIES)
def test_suspend_stops_a_canary_where_it_is(name: str) -> None:
    """Nothing is decided and nothing written, whatever the gates say."""
    before = CANARIES[name].spec(suspend=True)
    after = before.canary(restarts=9).at(9999).decide()
    assert after.state == before.state
    assert after.plan() == ()
    assert after.condition("Reconciling") == ("True", "Suspended")


def test_suspend_does_not_stop_what_was_decided() -> None:
    """A rollback, a promotion and a release are carried out."""
    for before in (scene().rolling_back(), scene().promoting(), scene().held("v1").decide()):
        suspended = before.spec(suspend=True)
        assert suspended.plan() == before.plan() != ()
        assert suspended.condition("Reconciling")[1] != "Suspended"


@pytest.mark.parametrize("name", [*CANARIES, "at rest", "rejected", "promoting", "rolling back"])
def test_deletion_gives_everything_back(name: str) -> None:
    """Whatever was under way: weight to stable, canary away."""
    others = {
        "at rest": scene(),
        "rejected": scene().rejected(),
        "promoting": scene().promoting(),
        "rolling back": scene().rolling_back(),
    }
    before = (CANARIES | others)[name].world(deleting=True)
    after = before.spec(suspend=True).decide()
    assert after.verdict == (Action.ABANDON, Reason.DELETED)
    assert after.state.weight.desired == 0
    assert after.decide().state == after.state


def test_deletion_says_what_stays_held() -> None:
    """An unproven template is not released by deleting its CanaryRollout; a proven one is."""
    held = scene().shifting().world(deleting=True).decide()
    assert "kubectl rollout resume deployment/web -n shop" in held.message
    assert held.gone().decide().plan() == ()
    proven = scene().held("v1").world(deleting=True).decide()
    assert "stays held" not in proven.message
    assert [type(op).__name__ for op in proven.plan()] == ["Unpause"]


def test_a_namespace_that_goes_is_left_alone() -> None:
    """Everything in it is deleted anyway."""
    after = scene().shifting().world(deleting=True, namespace_deleting=True).decide()
    assert after.plan() == ()
    assert after.state.isolated_hash == ""
