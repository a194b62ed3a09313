"""Alerts during a rollout: which are remembered, and what they do."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.canary import alerts
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason, Verdict
from chaffinch_operator.canary.report import LIMIT_BYTES, size
from chaffinch_operator.canary.status import AlertStatus, CanaryRolloutStatus, StepStatus
from chaffinch_operator.names import canary_name
from chaffinch_operator.webhook import Alert
from unit.canary.builders import Scene, moment, scene, stamp

LISTENING = {"matchers": ['severity="critical"']}
POD = {"alertname": "CheckoutErrors", "namespace": "shop", "pod": "web-canary-5d9f-abcde"}
DEPENDENCY = {"alertname": "DatabaseDown", "namespace": "data"}
PLACE = ("shop", "web")


def listening(at: Scene, **change: Any) -> Scene:
    """A scene whose rollout listens to alerts."""
    return at.spec(alerts={**LISTENING, **change})


def alert(labels: dict[str, str], begun: float = 60, number: int = 1, *, firing: bool = True) -> Alert:
    """An alert that began so many seconds after the candidate came."""
    return Alert(f"{number:016x}", moment(begun), labels, firing)


def told(at: Scene, *found: Alert, matches: bool = True) -> Scene:
    """The scene after alerts came in."""
    dated = [(each, moment(70)) for each in found]
    return at.status(alerts=alerts.recorded(at.model, at.state, PLACE, dated, lambda _: matches).alerts)


STAGES: dict[str, Scene] = {
    "starting": listening(scene().starting()),
    "at a step": listening(scene().shifting()),
    "paused": listening(scene().shifting().decision(Action.PAUSE, Reason.APPROVAL_REQUIRED)),
    "paused by a person": listening(scene().shifting().decision(Action.PAUSE, Reason.PAUSED_BY_USER)),
    "holding": listening(scene().holding()),
}
RESTING: dict[str, Scene] = {
    "at rest": listening(scene()),
    "promoting": listening(scene().promoting()),
    "rolling back": listening(scene().rolling_back()),
    "rejected": listening(scene().rejected()),
}

# which are remembered


@pytest.mark.parametrize("name", STAGES)
def test_an_alert_about_the_canary_ends_the_rollout(name: str) -> None:
    """At every stage with a canary: weight zero, and the sentence names the alert."""
    after = told(STAGES[name], alert(POD)).at(70).decide()
    assert after.verdict == (Action.ROLL_BACK, Reason.ALERT_FIRING)
    assert after.state.weight.desired == 0
    assert "alert CheckoutErrors {namespace=shop, pod=web-canary-5d9f-abcde} (about the canary)" in after.message
    assert [a.outcome for a in after.state.alerts] == ["RolledBack"]


@pytest.mark.parametrize("name", RESTING)
def test_without_a_canary_under_way_nothing_is_remembered(name: str) -> None:
    """Nobody is to be protected, or it is decided already."""
    assert told(RESTING[name], alert(POD)).state.alerts == []


def test_a_rollout_that_listens_to_none_remembers_none() -> None:
    """Alerts are asked for in the spec."""
    assert told(scene().shifting(), alert(POD)).state.alerts == []


@pytest.mark.parametrize(
    "found",
    [
        alert(POD, firing=False),
        alert(POD, begun=-1),
        alert(DEPENDENCY, begun=-1),
    ],
    ids=["resolved", "older than the candidate", "older than the canary's traffic"],
)
def test_what_says_nothing_of_the_canary_is_ignored(found: Alert) -> None:
    """An end, and what began before."""
    assert told(STAGES["at a step"], found).state.alerts == []


def test_what_does_not_match_is_ignored() -> None:
    """Matchers choose."""
    assert told(STAGES["at a step"], alert(POD), matches=False).state.alerts == []


def test_other_alerts_count_from_the_canarys_first_traffic() -> None:
    """Before, what they tell of cannot be the canary's doing; with scope Any every match counts."""
    later = listening(scene().shifting(since=100))
    assert told(later, alert(DEPENDENCY, begun=60)).state.alerts == []
    assert [a.outcome for a in told(later, alert(DEPENDENCY, begun=100)).state.alerts] == ["Pause"]
    assert told(STAGES["starting"], alert(DEPENDENCY)).state.alerts == []
    every = listening(scene().starting(), scope="Any")
    assert [a.outcome for a in told(every, alert(DEPENDENCY)).state.alerts] == ["Rollback"]


OUTCOMES = [
    ("CanaryOnly", "Rollback", POD, "Rollback"),
    ("CanaryOnly", "Rollback", DEPENDENCY, "Pause"),
    ("CanaryOnly", "Pause", POD, "Pause"),
    ("Any", "Rollback", DEPENDENCY, "Rollback"),
    ("Any", "Pause", DEPENDENCY, "Pause"),
]


@pytest.mark.parametrize(("scope", "on_firing", "labels", "outcome"), OUTCOMES)
def test_scope_and_aim_decide_on_the_outcome(scope: str, on_firing: str, labels: dict[str, str], outcome: str) -> None:
    """A dependency's outage pauses, unless every match is to count."""
    at = listening(scene().shifting(), scope=scope, onFiring=on_firing)
    assert [a.outcome for a in told(at, alert(labels)).state.alerts] == [outcome]


AIMS = [
    {"pod": "web-canary-5d9f-abcde"},
    {"exported_pod": "web-canary-5d9f-abcde", "pod": "kube-state-metrics-1"},
    {"track": "canary"},
    {"chaffinch_dev_track": "canary"},
    {"label_chaffinch_dev_track": "canary"},
    {"deployment": "web-canary"},
    {"workload": "web-canary"},
    {"service": "web-canary"},
    {"pod": "web-canary-5d9f-abcde", "namespace": "shop"},
    {"pod": "web-canary-5d9f-abcde", "namespace": "monitoring", "exported_namespace": "shop"},
    {"envoy_cluster_name": "httproute/shop/web/rule/0/backend/1", "namespace": "envoy-gateway-system"},
]
MISSES = [
    {},
    {"pod": "web-5d9f-abcde"},
    {"pod": "web-canary"},
    {"track": "stable"},
    {"deployment": "web"},
    {"service": "web"},
    {"pod": "web-canary-5d9f-abcde", "namespace": "other"},
    {"track": "canary", "namespace": "other"},
    {"envoy_cluster_name": "httproute/shop/web/rule/0/backend/0"},
    {"envoy_cluster_name": "httproute/other/web/rule/0/backend/1"},
]


@pytest.mark.parametrize("labels", AIMS)
def test_labels_point_at_the_canary(labels: dict[str, str]) -> None:
    """By pod, track, Deployment, Service, or the gateway's name of its backend."""
    assert alerts.points_at_canary(scene().model, PLACE, labels)


@pytest.mark.parametrize("labels", MISSES)
def test_labels_do_not_point_at_the_canary(labels: dict[str, str]) -> None:
    """Stable's, another namespace's, another route's."""
    assert not alerts.points_at_canary(scene().model, PLACE, labels)


def test_long_names_are_cut_as_kubernetes_cuts_them() -> None:
    """The pods of a Deployment with a long name."""
    name = "n" * 60
    spec = CanaryRolloutSpec.model_validate({**scene().body, "targetRef": {"name": name}})
    canary = f"{'n' * 47}-"
    assert alerts.points_at_canary(spec, PLACE, {"pod": f"{canary}{canary_name(name)[48:]}-1234"[:63]})


# how they are remembered

# labels and fingerprint belong together
ALERTS = st.builds(alert, st.just(POD), st.integers(-5, 90), st.integers(1, 6), firing=st.booleans()) | st.builds(
    alert, st.just(DEPENDENCY), st.integers(-5, 90), st.integers(7, 12), firing=st.booleans()
)


@given(st.lists(ALERTS, max_size=12))
def test_delivering_again_changes_nothing(found: list[Alert]) -> None:
    """At least once is as good as once."""
    once = told(STAGES["at a step"], *found)
    assert told(once, *found).state == once.state


@given(st.lists(ALERTS, max_size=12), st.randoms(use_true_random=False))
def test_the_order_within_a_post_does_not_matter(found: list[Alert], chance: Any) -> None:
    """Alertmanager promises none."""
    unique = list({(a.fingerprint, a.starts_at): a for a in found}.values())
    mixed = list(unique)
    chance.shuffle(mixed)
    assert told(STAGES["at a step"], *mixed).state == told(STAGES["at a step"], *unique).state


@given(st.lists(st.lists(ALERTS, max_size=4), max_size=6))
def test_few_are_kept_and_never_the_one_that_rolls_back_is_lost(posts: list[list[Alert]]) -> None:
    """Five, the newest first; whatever else fires, a rollback that was asked for happens."""
    at = STAGES["at a step"]
    for post in posts:
        at = told(at, *post)
    assert len(at.state.alerts) <= alerts.KEPT
    assert [a.starts_at for a in at.state.alerts] == sorted((a.starts_at for a in at.state.alerts), reverse=True)
    wanted = any(a.firing and a.labels is POD and a.starts_at >= moment(0) for post in posts for a in post)
    assert (at.at(99).decide().verdict == (Action.ROLL_BACK, Reason.ALERT_FIRING)) is wanted


def test_six_alerts_that_go_on_firing_pause_once() -> None:
    """What was forgotten for lack of room is not taken for news when it is delivered again."""
    group = [alert(DEPENDENCY, begun=60 + n, number=n) for n in range(1, 9)]
    paused = told(STAGES["at a step"], *group).at(80).decide()
    resumed = paused.ask("resume", "1").at(90).decide()
    assert resumed.verdict == (Action.SHIFT, Reason.ANALYZING)
    assert told(resumed, *group).at(95).decide().verdict[0] is Action.SHIFT


def test_the_longest_alerts_fit_in_the_status() -> None:
    """Names and labels are cut, and played no tricks with."""
    labels = {"alertname": "\x1b[31m" + "é" * 1000, **{f"l{n}": "é" * 1000 for n in range(60)}, "track": "canary"}
    at = listening(scene().shifting(), onFiring="Pause")
    full = told(at, *(alert(labels, number=n) for n in range(1, 9)))
    assert size(full.report()) <= LIMIT_BYTES
    assert len(full.state.alerts) == alerts.KEPT
    assert "\x1b" not in full.state.alerts[0].message
    CanaryRolloutStatus.model_validate(full.state.model_dump())


# what they do


def paused(at: Scene) -> Scene:
    """Paused by an alert that is not about the canary."""
    return told(at, alert(DEPENDENCY)).at(70).decide()


def test_a_pause_keeps_the_weight_and_says_how_to_go_on() -> None:
    """Nobody is moved to or from the canary for a dependency's outage."""
    after = paused(STAGES["at a step"])
    assert after.verdict == (Action.PAUSE, Reason.PAUSED_BY_ALERT)
    assert after.state.weight.desired == 25
    assert "DatabaseDown {namespace=data} (not about the canary)" in after.message
    assert "kubectl chaffinch resume web" in after.message
    assert after.at(9000).decide().verdict == (Action.PAUSE, Reason.PAUSED_BY_ALERT)
    assert after.condition("Progressing") == ("Unknown", "PausedByAlert")


@pytest.mark.parametrize("verb", ["resume", "promote"])
def test_a_person_lets_a_step_go_on(verb: str) -> None:
    """The same alert does not pause it again."""
    after = paused(STAGES["at a step"]).ask(verb, "1").at(80).decide()
    assert after.verdict == (Action.SHIFT, Reason.ANALYZING)
    assert told(after, alert(DEPENDENCY)).at(81).decide().verdict == (Action.SHIFT, Reason.ANALYZING)
    again = told(after, alert(DEPENDENCY, begun=85)).at(86).decide()
    assert again.verdict == (Action.PAUSE, Reason.PAUSED_BY_ALERT)


def test_another_alert_during_the_pause_is_told_anew() -> None:
    """An Event of its own, and the sentence names the newer one."""
    first = paused(STAGES["at a step"])
    second = told(first, alert({**DEPENDENCY, "alertname": "CacheDown"}, begun=75, number=2)).at(76).decide()
    assert second.verdict == (Action.PAUSE, Reason.PAUSED_BY_ALERT)
    assert "CacheDown" in second.message
    assert second.state.last_decision.at != first.state.last_decision.at


def test_a_resume_that_has_not_seen_the_alert_is_refused() -> None:
    """It was meant for the alert before."""
    first = paused(STAGES["at a step"])
    both = told(first, alert({**DEPENDENCY, "alertname": "CacheDown"}, begun=75, number=2)).ask("resume", "1").at(76)
    after = both.decide()
    assert after.verdict == (Action.PAUSE, Reason.PAUSED_BY_ALERT)
    assert after.state.last_action is not None
    assert not after.state.last_action.accepted
    assert "CacheDown" in after.state.last_action.message
    assert after.ask("resume", "2").at(77).decide().verdict == (Action.SHIFT, Reason.ANALYZING)


APPROVAL = [{"setWeight": 25}, {"pause": {}}, {"setWeight": 50}]


def test_a_pause_that_waited_for_a_person_still_does() -> None:
    """Resume ends the alert's pause, not the step's; promote ends both."""
    waits = listening(scene().spec(steps=APPROVAL).shifting().status(step=StepStatus(index=1)))
    stopped = paused(waits.decision(Action.PAUSE, Reason.APPROVAL_REQUIRED))
    assert stopped.verdict == (Action.PAUSE, Reason.PAUSED_BY_ALERT)
    assert stopped.ask("resume", "1").at(80).decide().verdict == (Action.PAUSE, Reason.APPROVAL_REQUIRED)
    on = stopped.ask("promote", "1").at(80).decide()
    assert (on.verdict, on.state.step.index) == ((Action.SHIFT, Reason.STEP_WEIGHT), 2)


def test_a_start_that_was_paused_starts_again() -> None:
    """No step is entered before the canary is ready."""
    before = listening(scene().prepared().canary(available=0), onFiring="Pause")
    stopped = told(before, alert(POD)).at(70).decide()
    assert stopped.verdict == (Action.PAUSE, Reason.PAUSED_BY_ALERT)
    assert stopped.state.weight.desired == 0
    resumed = stopped.ask("resume", "1").at(80).decide()
    assert resumed.verdict == (Action.START, Reason.INITIALIZING)
    assert resumed.canary(available=1).at(81).decide().verdict == (Action.SHIFT, Reason.STEP_WEIGHT)


def test_harm_is_still_seen_during_the_pause() -> None:
    """A gate, or an alert about the canary, rolls back."""
    stopped = paused(STAGES["at a step"])
    assert stopped.gate("errors", Verdict.FAIL).decide().verdict == (Action.ROLL_BACK, Reason.GATE_FAILED)
    worse = told(stopped, alert(POD, begun=75, number=2)).at(76).decide()
    assert worse.verdict == (Action.ROLL_BACK, Reason.ALERT_FIRING)


def test_a_revert_and_a_person_come_before_an_alert() -> None:
    """What ends the canary anyway ends it; who promotes by force knows better."""
    waiting = told(STAGES["at a step"], alert(POD)).at(70)
    assert waiting.held("v1").decide().verdict == (Action.RELEASE, Reason.REVERTED)
    assert waiting.ask("promote-force", "1").decide().verdict == (Action.PROMOTE, Reason.PROMOTED_BY_USER)
    assert waiting.ask("abort", "1").decide().verdict == (Action.ROLL_BACK, Reason.ABORTED)


def test_nothing_is_changed_while_suspended() -> None:
    """The alert waits, too."""
    asleep = told(STAGES["at a step"], alert(POD)).spec(suspend=True).at(70).decide()
    assert asleep.verdict == (Action.SHIFT, Reason.ANALYZING)
    assert asleep.spec(suspend=False).decide().verdict == (Action.ROLL_BACK, Reason.ALERT_FIRING)


def test_a_new_candidate_starts_without_alerts() -> None:
    """And those of the last one, still firing, do not hurt it."""
    ended = told(STAGES["at a step"], alert(POD)).at(70).decide()
    over = ended.gone().at(90).decide()
    assert over.verdict == (Action.REJECTED, Reason.ROLLED_BACK)
    assert [a.outcome for a in over.state.alerts] == ["RolledBack"]
    fresh = over.held("v3").at(100).decide()
    assert fresh.verdict == (Action.START, Reason.INITIALIZING)
    assert fresh.state.alerts == []
    assert told(fresh, alert(POD)).state.alerts == []
    assert [a.outcome for a in told(fresh, alert(POD, begun=120)).state.alerts] == ["Rollback"]


@given(st.sampled_from(sorted(STAGES)), st.sampled_from(["Rollback", "Pause"]), st.integers(0, 20000))
def test_an_alert_that_waits_is_acted_on_in_the_next_pass(name: str, outcome: str, at: int) -> None:
    """Whatever else the pass could decide, and never twice."""
    entry = AlertStatus(fingerprint="0" * 16, name="A", starts_at=stamp(60), outcome=outcome, message="A {}")
    after = STAGES[name].status(alerts=[entry]).at(at).decide()
    wanted = (
        (Action.ROLL_BACK, Reason.ALERT_FIRING) if outcome == "Rollback" else (Action.PAUSE, Reason.PAUSED_BY_ALERT)
    )
    assert after.verdict == wanted
    assert alerts.waiting(after.state) is None
    if after.verdict[0] in IN_FLIGHT:
        assert after.at(at + 1).decide().verdict == wanted
