"""Decisions without a canary: what the target's template is, and whether it needs one."""

from __future__ import annotations

import pytest

from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.canary.status import HistoryEntry
from unit.canary.builders import Scene, digest, first_sight, replica_set, rev, scene, stamp


def test_first_sight_takes_what_runs_as_stable() -> None:
    """The first template ever seen needs no canary: it is stable, and the only one promoted."""
    after = first_sight().decide()
    assert after.verdict == (Action.IDLE, Reason.PROMOTED)
    assert after.state.stable == rev("v1")
    assert after.state.promoted_revisions == [digest("v1")]


def test_idle_changes_nothing() -> None:
    """At rest the status is a fixpoint, so nothing is written."""
    reported = scene().decide().report()
    again = scene().status(**dict(reported)).at(500).decide()
    assert again.report() == reported
    assert again.plan() == ()


WAITS: dict[str, tuple[Scene, Reason, str]] = {
    "no target": (scene().world(target=None), Reason.TARGET_NOT_FOUND, "spec.targetRef.name"),
    "a rollout of the target's own": (
        scene().target(settled=False, replica_sets=(replica_set("v1", 3), replica_set("v0", 1))),
        Reason.TARGET_PROGRESSING,
        "left to finish",
    ),
    "strategy Recreate": (scene().target(recreate=True), Reason.STRATEGY_RECREATE, "spec.strategy.type"),
    "no Service": (scene().world(service=None), Reason.SERVICE_NOT_FOUND, "spec.serviceRef.name"),
    "no such port": (scene().service(ports=(8080,)), Reason.SERVICE_PORT_NOT_FOUND, "spec.serviceRef.port"),
    "no port at all": (scene().service(ports=()), Reason.SERVICE_PORT_NOT_FOUND, "only none"),
    "a Service of other pods": (
        scene().service(selector={"app": "api"}),
        Reason.SERVICE_SELECTOR_MISMATCH,
        "spec.serviceRef.name",
    ),
    "a Service without selector": (scene().service(selector={}), Reason.SERVICE_SELECTOR_MISMATCH, "selector"),
    "an older CanaryRollout": (scene().blocker(Reason.TARGET_CONFLICT, "older"), Reason.TARGET_CONFLICT, "older"),
    "a name taken": (scene().blocker(Reason.NAME_TAKEN, "rename it"), Reason.NAME_TAKEN, "rename it"),
    "no hold": (scene().blocker(Reason.HOLD_NOT_INSTALLED, "1.36"), Reason.HOLD_NOT_INSTALLED, "1.36"),
    "a blocker before the target exists": (
        scene().world(target=None).blocker(Reason.HOLD_NOT_INSTALLED, "1.36"),
        Reason.HOLD_NOT_INSTALLED,
        "1.36",
    ),
}


@pytest.mark.parametrize("name", WAITS)
@pytest.mark.parametrize("held", [False, True], ids=["unpaused", "held"])
def test_it_waits_for(name: str, held: bool) -> None:
    """What forbids to start is named with its field, whether or not a template is held; nothing is written twice."""
    before, reason, word = WAITS[name]
    if held and before.snap.target is not None and reason is not Reason.TARGET_PROGRESSING:
        before = before.held("v2")
    after = before.decide()
    assert after.verdict == (Action.WAIT, reason)
    assert word in after.message
    assert after.at(99).decide().state == after.state


def test_an_autoscaler_at_work_is_no_rollout() -> None:
    """More pods of the promoted template, not all of them available yet, leave it at rest."""
    after = scene().target(settled=False, replicas=6, replica_sets=(replica_set("v1", 6, ready=4),)).decide()
    assert after.verdict == (Action.IDLE, Reason.PROMOTED)


def test_a_target_that_is_stuck_says_so() -> None:
    """The Deployment's own message is told."""
    rolling = scene().target(
        settled=False, stuck="ReplicaSet web-hv1 timed out", replica_sets=(replica_set("v1", 4), replica_set("v0", 1))
    )
    assert rolling.decide().message == "ReplicaSet web-hv1 timed out"


def test_first_sight_in_a_rollout_remembers_the_running_revision() -> None:
    """What has pods now is protected from the next template on."""
    rolling = first_sight().target(settled=False, replica_sets=(replica_set("v0", 3), replica_set("v1", 1)))
    assert rolling.decide().state.stable == rev("v0")
    assert first_sight().target(settled=False, replica_sets=()).decide().state.stable is None


def test_a_held_template_starts_a_canary() -> None:
    """Everything is in order: the candidate is remembered, with a fresh start, and the Service is to be narrowed."""
    after = scene().held("v2").status(analysis_started_at=stamp(-99), paused_by_user=True).decide()
    assert after.verdict == (Action.START, Reason.INITIALIZING)
    assert after.state.candidate == rev("v2", "")
    assert after.state.isolated_hash == "hv1"
    assert (after.state.analysis_started_at, after.state.paused_by_user, after.state.gates) == ("", False, [])


RELEASES: dict[str, tuple[Scene, Reason]] = {
    "stable's template again": (scene().held("v1"), Reason.REVERTED),
    "no pods at all": (scene().held("v2").target(replica_sets=()), Reason.NO_STABLE),
    "scaled to zero": (
        scene().held("v2").target(replicas=0, replica_sets=(replica_set("v1", 0),)),
        Reason.SCALED_TO_ZERO,
    ),
    "scaled to zero with pods leaving": (scene().held("v2").target(replicas=0), Reason.SCALED_TO_ZERO),
    "within the rollback window": (
        scene().held("v0").status(promoted_revisions=[digest("v1"), digest("v0")]),
        Reason.KNOWN_REVISION,
    ),
    "forced": (scene().held("v2").ask("promote-force"), Reason.PROMOTED_BY_USER),
    "rejected, and forced": (scene().rejected().ask("promote-force"), Reason.PROMOTED_BY_USER),
    "reverted after a rollback": (scene().rejected().held("v1"), Reason.REVERTED),
}


@pytest.mark.parametrize("name", RELEASES)
def test_it_releases_without_a_canary(name: str) -> None:
    """A template that cannot hurt, is known, or is wanted by force, is released at once."""
    before, reason = RELEASES[name]
    after = before.decide()
    assert after.verdict == (Action.RELEASE, reason)
    assert [type(op).__name__ for op in after.plan()] == ["Unpause"]


def test_a_release_ends_at_rest() -> None:
    """Once the template runs everywhere it is stable, and history has it; a revert is no news."""
    after = scene().held("v2").ask("promote-force").decide().rolled("v2").decide()
    assert after.verdict == (Action.IDLE, Reason.PROMOTED)
    assert after.state.stable == rev("v2")
    assert [h.result for h in after.state.history] == ["Released"]
    reverted = scene().held("v1").decide().rolled("v1").decide()
    assert reverted.verdict == (Action.IDLE, Reason.PROMOTED)
    assert reverted.state.history == []


def test_a_release_waits_for_the_target() -> None:
    """While the target rolls nothing changes; its own trouble is told once."""
    before = scene().held("v2").ask("promote-force").decide()
    assert before.decide().state == before.state
    rolling = before.target(paused=False)
    assert rolling.decide().state == rolling.state
    stuck = rolling.target(stuck="timed out").decide()
    assert stuck.message.count("timed out") == 1
    assert stuck.decide().state == stuck.state


def test_a_release_overtaken_by_another_template_looks_again() -> None:
    """The template that came meanwhile gets its canary."""
    after = scene().held("v2").ask("promote-force").decide().held("v3").decide()
    assert after.verdict == (Action.START, Reason.INITIALIZING)


def test_a_release_overtaken_before_the_canary_is_gone_removes_it_first() -> None:
    """A revert releases; a third template must not reuse the canary that still has a share."""
    reverted = scene().shifting().held("v1").decide()
    after = reverted.held("v3").decide()
    assert after.verdict == (Action.ABANDON, Reason.SUPERSEDED)
    gone = reverted.world(target=None).decide()
    assert gone.verdict == (Action.ABANDON, Reason.SUPERSEDED)
    assert "is gone" in gone.message


def test_what_is_left_of_a_lost_rollout_is_removed_before_a_new_one() -> None:
    """The status was lost mid-flight: the canary that still has a share goes before another starts."""
    lost = scene().shifting().decision(Action.IDLE, Reason.PROMOTED).decide()
    assert lost.verdict == (Action.ABANDON, Reason.SUPERSEDED)
    assert lost.gone().decide().verdict == (Action.START, Reason.INITIALIZING)


def test_an_older_rollout_keeps_a_younger_from_deciding_anything() -> None:
    """Neither a revert nor a known revision is released by a CanaryRollout that does not own the target."""
    for version in ("v1", "v2"):
        after = scene().blocker(Reason.TARGET_CONFLICT).held(version).ask("promote-force").decide()
        assert after.verdict == (Action.WAIT, Reason.TARGET_CONFLICT)
        assert after.plan() == ()


def test_going_back_makes_the_revision_left_need_a_canary_again() -> None:
    """After an emergency revert from v2 to v1, v2 is no longer known."""
    both = scene().status(promoted_revisions=[digest("v2"), digest("v1"), digest("v0")], stable=rev("v2")).rolled("v2")
    back = both.held("v1").decide()
    assert back.verdict == (Action.RELEASE, Reason.KNOWN_REVISION)
    home = back.rolled("v1").decide()
    assert home.state.promoted_revisions == [digest("v1"), digest("v0")]
    assert home.held("v2").decide().verdict == (Action.START, Reason.INITIALIZING)


def test_the_rollback_window_ends() -> None:
    """One revision back by default; two need a canary, and with a window of zero one does."""
    past = scene().status(promoted_revisions=[digest("v1"), digest("v0"), digest("v-1")])
    assert past.held("v-1").decide().verdict[0] is Action.START
    assert past.spec(rollbackWindow={"revisions": 2}).held("v-1").decide().verdict[0] is Action.RELEASE
    assert past.spec(rollbackWindow={"revisions": 0}).held("v0").decide().verdict[0] is Action.START


def test_a_rejected_template_stays_held() -> None:
    """Nothing changes, nothing is written, however often it is looked at."""
    before = scene().rejected()
    after = before.at(1000).decide()
    assert after.state == before.state
    assert after.plan() == ()


def test_another_rejected_template_is_named() -> None:
    """Back to one that was rolled back earlier: the message tells of that one, and the way out."""
    older = HistoryEntry(
        digest=digest("v3"), result="RolledBack", reason=Reason.GATE_FAILED, at=stamp(-9), message="gate slow: 3x"
    )
    later = older.model_copy(update={"result": "Superseded", "message": "something else"})
    before = scene().rejected().status(rejected_revisions=[digest("v2"), digest("v3")], history=[later, older])
    after = before.held("v3").decide()
    assert after.verdict == (Action.REJECTED, Reason.ROLLED_BACK)
    assert after.state.candidate == rev("v3", "")
    assert "gate slow: 3x" in after.message
    assert "kubectl chaffinch retry web" in after.message
    assert scene().held("v2").status(rejected_revisions=[digest("v2")]).decide().verdict[0] is Action.REJECTED


def test_retry_starts_over() -> None:
    """A person wants it once more: the candidate is no longer rejected."""
    after = scene().rejected().ask("retry").decide()
    assert after.verdict == (Action.START, Reason.INITIALIZING)
    assert after.state.rejected_revisions == []


def test_retry_is_not_lost_while_something_is_in_the_way() -> None:
    """Prometheus is away: it waits, and starts once it is back, without being asked again."""
    waiting = scene().rejected().ask("retry").unreachable().decide()
    assert waiting.verdict == (Action.WAIT, Reason.PROVIDER_UNREACHABLE)
    assert waiting.world(provider_problem=None).decide().verdict == (Action.START, Reason.INITIALIZING)


def test_a_template_held_while_the_target_rolls_waits_for_a_person() -> None:
    """Two revisions have pods, a third is held: no revision is stable enough to compare with."""
    rolling = (
        scene()
        .held("v2")
        .ask("promote-force")
        .decide()
        .target(replica_sets=(replica_set("v1", 2), replica_set("v2", 2)))
    )
    stuck = rolling.held("v3").decide()
    assert stuck.verdict == (Action.WAIT, Reason.PROMOTION_INTERRUPTED)
    assert "hv1 2, hv2 2" in stuck.message
    back = stuck.held("v2").decide()
    assert back.verdict == (Action.RELEASE, Reason.PROMOTED_BY_USER)
    assert stuck.held("v1").decide().verdict == (Action.RELEASE, Reason.REVERTED)


def test_suspend_changes_nothing() -> None:
    """No canary starts; the template stays held, and the report says so."""
    after = scene().held("v2").spec(suspend=True).decide()
    assert after.verdict == (Action.IDLE, Reason.PROMOTED)
    assert after.plan() == ()
    assert after.condition("Ready") == ("False", "Suspended")
    assert scene().spec(suspend=True).condition("Ready") == ("True", "Promoted")


def test_rolled_back_and_gone() -> None:
    """A rejected template whose Deployment is deleted waits for another."""
    assert scene().rejected().world(target=None).decide().verdict == (Action.WAIT, Reason.TARGET_NOT_FOUND)
