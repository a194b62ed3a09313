"""What happens to a canary under way: new templates, reverts, undo, restart, scaling, lost and crashed pods.

Five shops tell their stories at once. Their only gate counts restarts, so no load and no Prometheus is needed.
"""

from dataclasses import dataclass

import pytest

from chaffinch_operator.canary.reasons import Action, Reason
from support.kubectl import KubectlError
from support.rollouts import FIRST, Pod, Shop, Street
from support.stories import together
from support.timeline import Seen, doing

pytestmark = pytest.mark.cluster

GATES = {
    "provider": None,
    "interval": "1s",
    "queryOffset": "1s",
    "warmup": "1s",
    "gates": [{"name": "restarts", "podRestarts": {"max": 0}}],
}
LONG = {"steps": [{"setWeight": 34, "minDuration": "10m"}], "analysis": GATES}
SHORT = {"steps": [{"setWeight": 34, "minDuration": "2s"}], "analysis": GATES}
HALF = {"steps": [{"setWeight": 50, "minDuration": "10m"}], "analysis": GATES}
at_weight = doing(Action.SHIFT, Reason.ANALYZING, weight=34)
Decisions = list[tuple[Action, Reason]]


def stable_is_ready(shop: Shop, replicas: int) -> bool:
    """Whether stable has that many pods, all ready."""
    pods = shop.stable_pods()
    return len(pods) == replicas and all(p.ready for p in pods.values())


def refusal(shop: Shop, *arguments: str) -> str:
    """What kubectl says when it refuses; empty when it does not."""
    try:
        shop.kubectl(*arguments)
    except KubectlError as error:
        return str(error)
    return ""


@dataclass(frozen=True, slots=True)
class Changes:
    """A second candidate in mid-flight, then back to the first revision."""

    to_second: Decisions
    second: str
    to_first: Decisions
    pods: tuple[dict[str, Pod], dict[str, Pod]]
    history: list[str]
    held: bool
    canary_gone: bool


def change_twice(shop: Shop) -> Changes:
    """Release v2, v3 over it, and v1 over that."""
    before = shop.stable_pods()
    shop.release("v2")
    shop.wait(at_weight, 60, "the first candidate's canary")
    position = shop.release("v3")
    shop.wait(doing(Action.START), 60, "the start of the second candidate")
    second = shop.wait(at_weight, 60, "the second candidate's canary")
    assert second.status.candidate is not None
    to_second = shop.timeline.decisions(position)
    position = shop.release_version(FIRST)
    end = shop.wait(doing(Action.IDLE), 60, "rest after the revert")
    return Changes(
        to_second,
        second.status.candidate.digest,
        shop.timeline.decisions(position),
        (before, shop.stable_pods()),
        [h.result for h in end.status.history],
        shop.paused,
        shop.canary_is_gone(),
    )


@dataclass(frozen=True, slots=True)
class Commands:
    """kubectl rollout restart and undo, idle and held."""

    restart: Decisions
    undo: Decisions
    refused_restart: str
    refused_undo: str


def restart_and_undo(shop: Shop) -> Commands:
    """Restart: a canary, promoted. Undo: released at once. Restart again: while that is held, kubectl refuses both."""
    position = restart(shop)
    shop.wait_promoted(90)
    promoted = shop.timeline.decisions(position)
    position = shop.timeline.mark()
    shop.kubectl("rollout", "undo", "deployment/shop")
    shop.wait(doing(Action.RELEASE), 30, "the release of the revision before")
    shop.wait(doing(Action.IDLE), 60, "rest after undo")
    undo = shop.timeline.decisions(position)
    restart(shop)
    return Commands(
        promoted,
        undo,
        refusal(shop, "rollout", "restart", "deployment/shop"),
        refusal(shop, "rollout", "undo", "deployment/shop"),
    )


def restart(shop: Shop) -> int:
    """Kubectl rollout restart; returns once its canary starts."""
    position = shop.timeline.mark()
    shop.kubectl("rollout", "restart", "deployment/shop")
    shop.wait(doing(Action.START), 30, "the canary of a restart")
    return position


@dataclass(frozen=True, slots=True)
class Scaling:
    """Stable is scaled by an autoscaler while a canary runs."""

    stable: int
    canary: int
    weights: set[int]
    actions: set[Action]
    held: bool
    untouched: bool


def scale(shop: Shop) -> Scaling:
    """A HorizontalPodAutoscaler, made in mid-canary, takes stable from 3 to 6 pods."""
    before = shop.stable_pods()
    shop.release("v2")
    shop.wait(doing(Action.SHIFT, Reason.ANALYZING, weight=50), 60, "a canary at half the traffic")
    position = shop.timeline.mark()
    shop.kubectl("autoscale", "deployment", "shop", "--min=6", "--max=6")
    shop.wait_for(lambda: stable_is_ready(shop, 6), 90, "six stable pods")
    shop.wait_for(lambda: sum(p.ready for p in shop.canary_pods().values()) == 3, 60, "three canary pods")
    after, seen = shop.stable_pods(), shop.timeline.since(position)
    return Scaling(
        len(after),
        len(shop.canary_pods()),
        {s.status.weight.desired for s in seen},
        {s.action for s in seen},
        shop.paused,
        before.items() <= after.items(),
    )


@dataclass(frozen=True, slots=True)
class Losses:
    """The canary's pod is lost, then one of stable's."""

    weights: list[int]
    """Applied weights from the loss on, each once in a row."""
    actions: set[Action]
    replaced: bool
    stable: int


def lose_pods(shop: Shop) -> Losses:
    """Delete the canary's only pod; when all is as before, one of stable's."""
    shop.release("v2")
    shop.wait(at_weight, 60, "a canary with traffic")
    position = shop.timeline.mark()
    lost = shop.canary_pods()
    shop.kubectl("delete", "pod", *lost, "--wait=false")
    shop.wait(lambda s: s.weight.applied == 0, 30, "weight zero")
    shop.wait(lambda s: s.weight.applied == 34, 60, "the weight again")
    new = shop.canary_pods()
    shop.kubectl("delete", "pod", next(iter(shop.stable_pods())), "--wait=false")
    shop.wait_for(lambda: stable_is_ready(shop, 3), 60, "three stable pods")
    seen = shop.timeline.since(position)
    applied = [s.status.weight.applied for s in seen]
    weights = [w for n, w in enumerate(applied) if n == 0 or applied[n - 1] != w]
    return Losses(weights, {s.action for s in seen}, not lost.keys() & new.keys(), len(shop.stable_pods()))


@dataclass(frozen=True, slots=True)
class Crash:
    """The canary's container ends by itself."""

    rolled_back: Seen
    pods: tuple[dict[str, Pod], dict[str, Pod]]


def crash(shop: Shop) -> Crash:
    """End the canary's main process; its container is started again."""
    before = shop.stable_pods()
    shop.release("v2")
    shop.wait(at_weight, 60, "a canary with traffic")
    shop.kubectl("exec", next(iter(shop.canary_pods())), "--", "python3", "-c", "import os; os.kill(1, 15)")
    return Crash(shop.wait_rolled_back(), (before, shop.stable_pods()))


@dataclass(frozen=True, slots=True)
class Records:
    """All five."""

    changes: Changes
    commands: Commands
    scaling: Scaling
    losses: Losses
    crash: Crash


@pytest.fixture(scope="module")
def records(street: Street) -> Records:
    """All stories, told at once."""
    changing, commanding, scaling, losing, crashing = street.open_all(
        {"spec": LONG}, {"spec": SHORT}, {"spec": HALF}, {"spec": LONG}, {"spec": LONG}
    )
    told = together(
        lambda: change_twice(changing),
        lambda: restart_and_undo(commanding),
        lambda: scale(scaling),
        lambda: lose_pods(losing),
        lambda: crash(crashing),
    )
    return Records(*told)


def test_new_candidate_replaces_the_canary(records: Records) -> None:
    """Another template in mid-flight: the old canary goes first, then the new one starts over."""
    assert records.changes.to_second[:3] == [
        (Action.ABANDON, Reason.SUPERSEDED),
        (Action.START, Reason.INITIALIZING),
        (Action.SHIFT, Reason.STEP_WEIGHT),
    ]


def test_revert_in_mid_flight_ends_the_canary(records: Records) -> None:
    """Stable's template again: canary removed, Deployment released, no verdict, stable's pods untouched."""
    changes = records.changes
    assert changes.to_first[-2:] == [(Action.RELEASE, Reason.REVERTED), (Action.IDLE, Reason.PROMOTED)]
    assert changes.history == ["Reverted", "Superseded"]
    assert changes.pods[0] == changes.pods[1]
    assert (changes.held, changes.canary_gone) == (False, True)


def test_restart_is_a_candidate(records: Records) -> None:
    """Kubectl rollout restart changes the template, so it gets a canary, and is promoted."""
    assert (Action.START, Reason.INITIALIZING) in records.commands.restart
    assert (Action.PROMOTE, Reason.GATES_PASSED) in records.commands.restart


def test_kubectl_itself_refuses_undo_and_restart_while_held(records: Records) -> None:
    """Kubectl restarts and undoes no paused Deployment."""
    assert "paused" in records.commands.refused_restart
    assert "paused" in records.commands.refused_undo


def test_undo_of_a_promotion_needs_no_canary(records: Records) -> None:
    """Kubectl rollout undo of an idle target is a known revision: released at once."""
    assert (Action.RELEASE, Reason.KNOWN_REVISION) in records.commands.undo
    assert Action.START not in {action for action, _ in records.commands.undo}


def test_stable_is_scaled_in_mid_canary(records: Records) -> None:
    """Stable follows its autoscaler while held; the canary grows with it, keeps its weight and goes on."""
    scaling = records.scaling
    assert (scaling.stable, scaling.canary, scaling.weights) == (6, 3, {50})
    assert scaling.actions == {Action.SHIFT}
    assert (scaling.held, scaling.untouched) == (True, True)


def test_lost_canary_gets_no_traffic_until_it_is_back(records: Records) -> None:
    """A lost canary pod: weight zero until its successor is ready, then the weight again; no decision for it."""
    losses = records.losses
    assert losses.weights == [0, 34]
    assert losses.actions == {Action.SHIFT}
    assert losses.replaced


def test_lost_stable_pod_is_replaced_while_held(records: Records) -> None:
    """The old ReplicaSet of a held target replaces a lost pod."""
    assert records.losses.stable == 3


def test_crashed_canary_is_rolled_back(records: Records) -> None:
    """A canary whose container restarts more often than podRestarts allows is rolled back; stable's pods stay."""
    message = records.crash.rolled_back.status.last_decision.message
    assert message.startswith("rolled back: gate restarts: the canary's containers restarted 1 times, 0 allowed")
    assert records.crash.pods[0] == records.crash.pods[1]
