"""From a decision to its writes: which ones, in which order, and never one that another still rests on."""

from __future__ import annotations

from typing import Any

import pytest

from chaffinch_operator.canary import objects
from chaffinch_operator.canary.plan import Apply, Delete, Isolate, Operation, Unisolate, Unpause, finished
from chaffinch_operator.canary.reasons import Action, Reason
from unit.canary.builders import Scene, moment, scene


def words(operations: tuple[Operation, ...]) -> list[str]:
    """The writes in short: kind, and the canary's weight where it is a route."""
    return [word(operation) for operation in operations]


def word(operation: Operation) -> str:
    """One write."""
    match operation:
        case Apply("HTTPRoute", body):
            return f"route {share(body)}"
        case Apply(kind, body):
            return f"apply {kind}{whose(body['metadata']['name'])}"
        case Delete(kind, name):
            return f"delete {kind}{whose(name)}"
        case _:
            return type(operation).__name__.lower()


def whose(name: str) -> str:
    """Said of the baseline; else it is the canary."""
    return " of baseline" if name.endswith("-baseline") else ""


def share(body: dict[str, Any]) -> str:
    """The canary's weight in a route, and the baseline's where it has a backend."""
    shares = [b["weight"] for b in body["spec"]["rules"][0]["backendRefs"]]
    if len(shares) == 1:
        return "none"
    beside = " beside baseline" if len(shares) == 3 else ""
    weight = objects.weight_of(shares)
    return f"fading{beside}" if weight == objects.FADING else f"{weight}{beside}"


def fading(before: Scene, since: float = 0, **change: Any) -> Scene:
    """The route's weight is a millionth."""
    return before.route(canary_weight=0, fading=True, weight_since=moment(since), **change)


STARTED = scene().prepared().world(canary=None).service(selector={"app": "web"}, isolated_note="")
TO_50 = scene().shifting(index=1).route(canary_weight=25).canary(desired=2, available=2, weight=50)
TO_50 = TO_50.status(weight=TO_50.state.weight.model_copy(update={"applied": 25}))
FIRST = scene().shifting().decision(Action.SHIFT, Reason.STEP_WEIGHT).route(canary_weight=None)
FIRST = FIRST.status(weight=FIRST.state.weight.model_copy(update={"applied": 0}))
ZERO = scene().rolling_back().route(canary_weight=0, weight_since=moment(0)).decide()

PLANS: dict[str, tuple[Scene, list[str]]] = {
    "at rest nothing": (scene(), []),
    "the route is made before anything else": (scene().world(route=None), ["route none"]),
    "a route edited by hand is put right": (scene().route(current=False), ["route none"]),
    "without a Service there is no route": (scene().world(route=None, service=None), []),
    "without Gateway API there is no route": (
        scene().world(route=None).blocker(Reason.GATEWAY_API_MISSING),
        [],
    ),
    "isolation comes before the canary": (STARTED, ["isolate"]),
    "isolated, the canary is made": (
        scene().prepared().world(canary=None).route(canary_weight=None),
        ["apply Deployment", "apply Service"],
    ),
    "a canary that is leaving is waited for": (scene().prepared().canary(deleting=True), []),
    "a canary of an older candidate is replaced": (scene().prepared().canary(digest="old"), ["apply Deployment"]),
    "a canary Service that was deleted is made again": (
        scene().prepared().canary(service_exists=False),
        ["apply Service"],
    ),
    "a route is told of the backend by a millionth": (FIRST, ["route fading"]),
    "once it is known the weight is given": (fading(FIRST), ["route 25"]),
    "not before it is accepted": (fading(FIRST, accepted=False), []),
    "a weight is raised when the pods are there": (TO_50, ["route 50"]),
    "not before": (TO_50.canary(available=1), []),
    "pods come before their weight": (
        TO_50.canary(desired=1, available=1, weight=25),
        ["apply Deployment"],
    ),
    "a canary without endpoints loses its weight": (TO_50.canary(ready_endpoints=0), ["route 0"]),
    "one that was never known stays unknown": (FIRST.canary(ready_endpoints=0), []),
    "a canary that was deleted loses its weight, and is made again": (
        TO_50.world(canary=None),
        ["route 0", "apply Deployment", "apply Service"],
    ),
    "a route that was deleted is made again, by a millionth first": (
        TO_50.world(route=None).status(weight=TO_50.state.weight.model_copy(update={"applied": 0})),
        ["route fading"],
    ),
    "the target's Service was deleted": (TO_50.world(service=None), ["route 50"]),
    "a Service that was widened is narrowed again": (
        TO_50.route(canary_weight=50).service(selector={"app": "web"}),
        ["isolate"],
    ),
    "autoscaled, the canary follows": (
        scene().shifting().target(replicas=8),
        ["apply Deployment"],
    ),
    "suspended, nothing": (TO_50.spec(suspend=True), []),
    "an older CanaryRollout has it, nothing": (TO_50.blocker(Reason.TARGET_CONFLICT), []),
    "rolling back, the weight goes first": (scene().rolling_back(), ["route fading"]),
    "the millionth is waited for": (fading(scene().rolling_back()).at(0.5), []),
    "also when the gateway has not answered": (fading(scene().rolling_back(), accepted=False).at(9), []),
    "refused, it is no use to wait": (
        fading(scene().rolling_back(), accepted=False, problem="BackendNotFound").at(9),
        ["route 0"],
    ),
    "then weight zero": (fading(scene().rolling_back()).at(9), ["route 0"]),
    "the canary stays for running requests": (ZERO.at(29), []),
    "then the backend goes": (ZERO.at(30), ["route none"]),
    "then the canary": (
        ZERO.route(canary_weight=None).at(31),
        ["delete Service", "delete Deployment"],
    ),
    "but not before the gateway let go": (ZERO.route(canary_weight=None, accepted=False).at(31), []),
    "a canary that is going is not deleted twice": (ZERO.route(canary_weight=None).canary(deleting=True).at(31), []),
    "without a route the canary goes at once": (
        ZERO.world(route=None),
        ["route none", "delete Service", "delete Deployment"],
    ),
    "superseded, three seconds are enough": (ZERO.decision(Action.ABANDON, Reason.SUPERSEDED).at(3), ["route none"]),
    "released, none": (ZERO.decision(Action.RELEASE, Reason.REVERTED).at(0), ["route none"]),
    "gone, the Service is widened": (
        ZERO.gone().service(selector={"app": "web", "pod-template-hash": "hv1"}, isolated_note="web").decide(),
        ["unisolate"],
    ),
    "a note alone is removed as well": (scene().service(isolated_note="web"), ["unisolate"]),
    "promoting, the target is released": (scene().promoting(), ["unpause"]),
    "not while the Service is narrowed": (
        scene().promoting().service(isolated_note="web"),
        ["unisolate"],
    ),
    "not with another template": (scene().promoting().held("v3"), []),
    "released already, nothing": (scene().promoting().target(paused=False), []),
    "interrupted, nothing": (scene().promoting().decision(Action.PROMOTE, Reason.PROMOTION_INTERRUPTED), []),
    "promoting, a canary that died loses its weight": (
        scene().promoting().target(paused=False).world(canary=None),
        ["route 0"],
    ),
    "rejected, it stays held": (scene().rejected(), []),
    "a name taken: nothing is made": (
        scene().prepared().world(canary=None, route=None).blocker(Reason.NAME_TAKEN),
        [],
    ),
    "a name taken mid-flight: the weight is lowered": (
        TO_50.world(canary=None).blocker(Reason.NAME_TAKEN),
        ["route 0"],
    ),
}


BESIDE = TO_50.with_baseline().baseline(desired=2, available=2)
BOTH_FIRST = FIRST.with_baseline()
BOTH_ZERO = ZERO.with_baseline()

PLANS |= {
    "isolated, canary and baseline are made at one moment": (
        scene().prepared().with_baseline().world(canary=None, baseline=None).route(canary_weight=None, baseline=False),
        ["apply Deployment", "apply Deployment of baseline", "apply Service", "apply Service of baseline"],
    ),
    "a baseline that was deleted is made again, and both weights go, the canary's by a millionth": (
        BESIDE.world(baseline=None),
        ["route fading beside baseline", "apply Deployment of baseline", "apply Service of baseline"],
    ),
    "a baseline that is leaving is waited for": (
        BESIDE.baseline(deleting=True).route(canary_weight=0),
        [],
    ),
    "a baseline of an older stable is replaced": (
        scene().prepared().with_baseline().baseline(digest="old"),
        ["apply Deployment of baseline"],
    ),
    "without stable's ReplicaSet there is no template to make it from": (
        scene().prepared().with_baseline().world(baseline=None).running(),
        [],
    ),
    "a candidate that started without a baseline gets none": (
        scene().prepared().spec(canary={"baseline": "Dedicated"}),
        [],
    ),
    "one that started with a baseline keeps it": (
        scene().shifting().with_baseline().spec(canary={"baseline": "None"}),
        [],
    ),
    "a route is told of both backends by a millionth": (BOTH_FIRST, ["route fading beside baseline"]),
    "not before the baseline serves as well": (BOTH_FIRST.baseline(ready_endpoints=0), []),
    "nor before it has its Service": (BOTH_FIRST.baseline(service_exists=False), ["apply Service of baseline"]),
    "once both are known both get their share": (
        fading(BOTH_FIRST, baseline=True),
        ["route 25 beside baseline"],
    ),
    "a backend that a person took out is told of anew": (
        scene().shifting().with_baseline().route(baseline=False),
        ["route fading beside baseline"],
    ),
    "a weight is raised when both have their pods": (BESIDE, ["route 50 beside baseline"]),
    "not before the canary has": (BESIDE.canary(available=1), []),
    "not before the baseline has": (BESIDE.baseline(available=1), []),
    "both grow at one moment": (
        BESIDE.canary(desired=1, available=1, weight=25).baseline(desired=1, available=1),
        ["apply Deployment", "apply Deployment of baseline"],
    ),
    "promoting, the baseline keeps its share": (scene().promoting().with_baseline(), ["unpause"]),
    "promoting, a baseline that died takes both weights along": (
        scene().promoting().with_baseline().target(paused=False).world(baseline=None),
        ["route fading beside baseline"],
    ),
    "then they are zero until it is back": (
        fading(scene().promoting().with_baseline().target(paused=False).world(baseline=None), baseline=True).at(9),
        ["route 0 beside baseline"],
    ),
    "a canary that was deleted takes the baseline's share along, by a millionth": (
        scene().promoting().with_baseline().target(paused=False).world(canary=None),
        ["route fading beside baseline"],
    ),
    "when none of the two answers any more there is nothing to wait for": (
        scene().promoting().with_baseline().target(paused=False).world(canary=None, baseline=None),
        ["route 0 beside baseline"],
    ),
    "rolling back, both weights go first": (
        scene().rolling_back().with_baseline(),
        ["route fading beside baseline"],
    ),
    "then both weights are zero": (
        fading(scene().rolling_back().with_baseline(), baseline=True).at(9),
        ["route 0 beside baseline"],
    ),
    "both stay for running requests": (BOTH_ZERO.at(29), []),
    "then both backends go": (BOTH_ZERO.at(30), ["route none"]),
    "then both": (
        BOTH_ZERO.route(canary_weight=None, baseline=False).at(31),
        ["delete Service", "delete Deployment", "delete Service of baseline", "delete Deployment of baseline"],
    ),
    "what is left of one goes": (
        BOTH_ZERO.route(canary_weight=None, baseline=False).world(canary=None).at(31),
        ["delete Service of baseline", "delete Deployment of baseline"],
    ),
    "rolling back, no backend is added that a person took out": (
        scene().rolling_back().with_baseline().route(baseline=False).world(baseline=None),
        ["route fading"],
    ),
    "a status that was lost: the backend in the route goes the same safe way": (
        scene().rolling_back().with_baseline().status(baseline=""),
        ["route fading beside baseline"],
    ),
}


@pytest.mark.parametrize("name", PLANS)
def test_the_writes(name: str) -> None:
    """What is written, in its order."""
    before, expected = PLANS[name]
    assert words(before.plan()) == expected


def test_by_replicas_there_is_no_route_and_no_isolation() -> None:
    """The canary Deployment is the weight."""
    before = scene().by_replicas().prepared().world(canary=None).service(selector={"app": "web"}, isolated_note="")
    assert words(before.status(isolated_hash="").plan()) == ["apply Deployment", "apply Service"]


def test_by_replicas_the_baseline_is_made_beside_the_canary() -> None:
    """As many pods of it; the user's Service spans all three."""
    before = scene().by_replicas().prepared().with_baseline().world(canary=None, baseline=None)
    operations = before.service(selector={"app": "web"}, isolated_note="").status(isolated_hash="").plan()
    assert words(operations)[:2] == ["apply Deployment", "apply Deployment of baseline"]
    sizes = [op.body["spec"]["replicas"] for op in operations[:2] if isinstance(op, Apply)]
    assert sizes[0] == sizes[1]


def test_the_time_of_a_weight_is_that_of_its_change() -> None:
    """A route put right keeps its time; a weight that changes gets a new one; a fade to zero keeps the fade's."""

    def since(before: Scene) -> str:
        operation = before.plan()[0]
        assert isinstance(operation, Apply)
        return str(operation.body["metadata"]["annotations"][objects.WEIGHT_SINCE])

    assert since(scene().shifting().route(current=False).at(60)) == "2026-01-01T12:00:00Z"
    assert since(TO_50.at(60)) == "2026-01-01T12:01:00Z"
    assert since(fading(scene().rolling_back()).at(60)) == "2026-01-01T12:00:00Z"
    assert since(scene().shifting().route(current=False, weight_since=None).at(60)) == "2026-01-01T12:01:00Z"


def test_more_pods_for_the_same_weight_change_no_share_of_a_route() -> None:
    """By a route the time stays; by replicas the pods are the share."""
    for before, expected in (
        (scene().shifting(), "2026-01-01T12:00:00Z"),
        (scene().by_replicas().shifting().status(isolated_hash=""), "2026-01-01T12:01:00Z"),
    ):
        operation = before.target(replicas=12).at(60).plan()[0]
        assert isinstance(operation, Apply)
        assert operation.body["metadata"]["annotations"][objects.WEIGHT_SINCE] == expected


def test_an_unpause_is_fenced() -> None:
    """With the version that was seen: a template that arrived since stays held."""
    assert scene().promoting().target(resource_version="77").plan() == (Unpause("web", "77"),)


def test_writes_name_their_objects() -> None:
    """The Service by its name and the rollout's."""
    assert STARTED.plan() == (Isolate("web", "web"),)
    assert scene().service(isolated_note="web").plan() == (Unisolate("web"),)


DELETIONS: dict[str, tuple[Scene, list[str], bool]] = {
    "at rest nothing is left": (scene(), [], True),
    "no route is made for a farewell": (scene().world(route=None), [], True),
    "a weight goes first": (scene().shifting(), ["route fading"], False),
    "then the canary": (
        scene().shifting().route(canary_weight=None),
        ["delete Service", "delete Deployment"],
        False,
    ),
    "then the Service is widened": (
        scene().shifting().gone().service(isolated_note="web"),
        ["unisolate"],
        False,
    ),
    "what is proven is released": (scene().held("v1"), ["unpause"], False),
    "what is not stays held": (scene().held("v2"), [], True),
    "a paused target nobody knows stays paused": (scene().held("v2").status(stable=None), [], True),
    "a namespace that goes takes all with it": (scene().shifting().world(namespace_deleting=True), [], True),
    "another's Service and target are not touched": (
        scene()
        .held("v1")
        .service(selector={"app": "web", "pod-template-hash": "hv1"}, isolated_note="older")
        .blocker(Reason.TARGET_CONFLICT),
        [],
        True,
    ),
    "another's target is not released": (scene().held("v1").blocker(Reason.TARGET_CONFLICT), [], True),
}


@pytest.mark.parametrize("name", DELETIONS)
def test_a_deletion(name: str) -> None:
    """Everything of ours goes, in order, and only then it is finished."""
    before, expected, done = DELETIONS[name]
    after = before.world(deleting=True).decide()
    assert words(after.plan()) == expected
    assert finished(after.context) is done
