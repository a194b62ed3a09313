"""From API objects to what a decision is made from: absent fields, late controllers, edits by hand."""

from __future__ import annotations

from typing import Any

import pytest

from chaffinch_operator.canary import objects, parse
from chaffinch_operator.canary.snapshot import Target
from chaffinch_operator.children.mirroring import Mirror
from unit.canary.builders import NOW, scene, template

FULL = {"replicas": 3, "updatedReplicas": 3, "availableReplicas": 3, "observedGeneration": 7}
TIMED_OUT = [
    {"type": "Available", "reason": "ProgressDeadlineExceeded"},
    {"type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "timed out"},
]


def target(status: dict[str, Any] | None = None, **spec: Any) -> Target:
    """A Deployment of three, as it is read."""
    body = {
        "metadata": {"name": "web", "uid": "u", "resourceVersion": "5", "generation": 7},
        "spec": {"replicas": 3, "template": template("v1"), **spec},
        "status": FULL if status is None else status,
    }
    return parse.target(body, [])


def test_settled_is_seen_un_paused_and_all_there() -> None:
    """A controller that has not looked, a pod that is missing, a pause: each is not settled."""
    assert target().settled
    assert not target({**FULL, "observedGeneration": 6}).settled
    assert not target({**FULL, "availableReplicas": 2}).settled
    assert not target({**FULL, "replicas": 4}).settled
    assert not target(paused=True).settled
    assert not target({}).settled
    assert target({"observedGeneration": 7}, replicas=0).settled


def test_stuck_is_what_its_controller_says_of_this_spec() -> None:
    """Not of the one before, nor of a pause."""
    assert target({**FULL, "conditions": TIMED_OUT}).stuck == "timed out"
    assert target({**FULL, "conditions": TIMED_OUT[:1]}).stuck == ""
    assert target({**FULL, "conditions": TIMED_OUT, "observedGeneration": 6}).stuck == ""
    assert target({**FULL, "conditions": TIMED_OUT}, paused=True).stuck == ""


def test_only_its_own_replica_sets_count() -> None:
    """By owner, in an order of their own."""

    def replica_set(name: str, uid: str) -> dict[str, Any]:
        labelled = template("v1")
        labelled["metadata"]["labels"]["pod-template-hash"] = name
        return {
            "metadata": {"name": name, "ownerReferences": [{"uid": uid}]},
            "spec": {"replicas": 2, "template": labelled},
            "status": {"replicas": 2, "readyReplicas": 1},
        }

    body = {
        "metadata": {"name": "web", "uid": "u", "resourceVersion": "5"},
        "spec": {"template": template("v1"), "strategy": {"type": "Recreate"}},
    }
    found = parse.target(body, [replica_set("b", "u"), replica_set("a", "u"), replica_set("c", "other")])
    assert [(r.name, r.revision.hash, r.ready, r.pods) for r in found.replica_sets] == [
        ("a", "a", 1, 2),
        ("b", "b", 1, 2),
    ]
    assert found.recreate
    assert found.replicas == 1
    assert found.replica_sets[0].revision.digest == found.revision.digest


def test_a_service_without_ports_or_selector_is_read() -> None:
    """What is missing is empty."""
    found = parse.service({"metadata": {"resourceVersion": "1"}, "spec": {}}, 80)
    assert (found.selector, found.ports, found.target_port, found.narrowed) == ({}, (), 80, False)


def test_a_canary_is_read_with_what_belongs_to_it() -> None:
    """Its annotations, ready endpoints that stay, and the restarts of all its pods."""
    body = {
        "metadata": {
            "uid": "u",
            "generation": 2,
            "annotations": {objects.CANDIDATE: "d", objects.WEIGHT: "25", objects.WEIGHT_SINCE: "2026-01-01T12:00:00Z"},
        },
        "spec": {"replicas": 2},
        "status": {"observedGeneration": 2, "availableReplicas": 2, "readyReplicas": 2},
    }
    conditions = [{"ready": True}, {"ready": True, "terminating": True}, {"ready": False}, {}]
    slices = [{"endpoints": [{"conditions": c} for c in conditions]}, {}]
    pods: list[dict[str, Any]] = [
        {"status": {"containerStatuses": [{"restartCount": 2}, {"restartCount": 1}]}},
        {"status": {}},
        {},
    ]
    found = parse.canary(body, service_exists=True, slices=slices, pods=pods)
    assert (found.digest, found.weight, found.weight_since) == ("d", 25, NOW)
    assert (found.available, found.ready_endpoints, found.restarts, found.deleting) == (2, 1, 3, False)
    late = parse.canary({**body, "status": {"availableReplicas": 2}}, service_exists=False, slices=[], pods=[])
    assert (late.observed, late.available) == (False, 0)
    bare = parse.canary({"metadata": {"uid": "u", "deletionTimestamp": "x"}, "spec": {}}, False, [], [])
    assert (bare.weight, bare.weight_since, bare.deleting) == (0, None, True)


def routed(
    weight: int | None, said: list[dict[str, Any]] | None = None, *, dedicated: bool = False, **change: Any
) -> Any:
    """A route as it is read, with what its gateway says."""
    start = scene()
    routing = start.model.traffic_routing.gateway_api
    assert routing is not None
    body = objects.route(start.model, start.snap, routing, weight, NOW, dedicated=dedicated)
    body["metadata"] |= {"uid": "r", "generation": 3}
    body["status"] = {"parents": [{"conditions": said or []}]}
    body["spec"] |= change
    shares = parse.route_shares(body)
    read = objects.weight_of(shares)
    return parse.route(body, objects.route(start.model, start.snap, routing, read, NOW, dedicated=len(shares) > 2))


def said(kind: str, status: str = "True", generation: int = 3) -> dict[str, Any]:
    """What a gateway says."""
    return {"type": kind, "status": status, "reason": "R", "message": "m", "observedGeneration": generation}


@pytest.mark.parametrize(
    ("weight", "expected", "fading"), [(None, None, False), (0, 0, False), (25, 25, False), (-1, 0, True)]
)
def test_a_route_is_read_as_it_was_written(weight: int | None, expected: int | None, fading: bool) -> None:
    """With its time; and a millionth is told as zero."""
    found = routed(weight)
    assert (found.canary_weight, found.fading, found.current, found.weight_since) == (expected, fading, True, NOW)


@pytest.mark.parametrize("weight", [-1, *range(100)])
def test_a_route_with_a_baseline_is_read_as_it_was_written(weight: int) -> None:
    """At every weight; stable's share is what the other two leave."""
    found = routed(weight, dedicated=True)
    percent = max(weight, 0)
    assert (found.canary_weight, found.fading, found.baseline, found.current) == (percent, weight < 0, True, True)
    assert found.stable_weight == 100 - percent - min(percent, 100 - percent)


def test_shares_edited_by_hand_are_seen() -> None:
    """Whatever a person makes of them: it is not what would be written, so it is put right."""
    routing = scene().model.traffic_routing.gateway_api
    assert routing is not None
    written = objects.route(scene().model, scene().snap, routing, 25, NOW, dedicated=True)["spec"]["rules"][0]
    for shares in ((60, 30, 10), (500, 400, 100), (0, 0, 0), (1, 1, 999_998), (1, 900_000, 100)):
        edited = [{**b, "weight": w} for b, w in zip(written["backendRefs"], shares, strict=True)]
        assert not routed(25, rules=[{"backendRefs": edited}]).current
    assert routed(25, rules=[written]).current


ACCEPTANCE: dict[str, tuple[list[dict[str, Any]], bool, str]] = {
    "nothing said": ([], False, ""),
    "accepted and resolved": ([said("Accepted"), said("ResolvedRefs")], True, ""),
    "accepted alone": ([said("Accepted")], False, ""),
    "of an older spec": ([said("Accepted", generation=2), said("ResolvedRefs")], False, ""),
    "refused": ([said("Accepted"), said("ResolvedRefs", "False")], False, "R: m"),
    "something else": ([said("Programmed", "False"), said("Accepted"), said("ResolvedRefs")], True, ""),
}


@pytest.mark.parametrize("name", ACCEPTANCE)
def test_a_route_is_accepted_when_every_parent_says_so(name: str) -> None:
    """Of this very spec."""
    conditions, accepted, problem = ACCEPTANCE[name]
    found = routed(25, conditions)
    assert (found.accepted, found.problem) == (accepted, problem)


def test_an_edit_by_hand_is_seen_and_a_default_is_not() -> None:
    """What we would write must be there; what the API server adds does not matter."""
    assert not routed(25, hostnames=["other.example"]).current
    assert not routed(25, rules=[]).current
    assert routed(25, parentRefs=[{"name": "public", "kind": "Gateway", "group": "gateway.networking.k8s.io"}]).current
    assert parse.route_shares({}) == ()
    assert parse.route_shares({"spec": {"rules": [{"backendRefs": [{"name": "a"}]}]}}) == (1,)


MIRROR = Mirror("rules-mirror", 80, 20)


def evaluation(mode: str = "Adopt", active: bool = True, **meta: str) -> dict[str, Any]:
    """A ShadowEvaluation that names our route."""
    told = {"service": "rules-mirror", "port": 80, "active": active}
    asked = {"mode": mode, "percent": 20}
    return {"metadata": meta, "spec": {"traffic": {"mirror": asked}}, "status": {"mirror": told}}


@pytest.mark.parametrize(
    ("body", "found"),
    [
        (evaluation(), (MIRROR,)),
        (evaluation(active=False), ()),
        (evaluation(mode="External"), ()),
        (evaluation(deletionTimestamp="2026-01-01T00:00:00Z"), ()),
        ({"metadata": {}, "spec": {"traffic": {"replay": {}}}}, ()),
    ],
)
def test_copies_are_wanted_while_an_evaluation_says_so(body: dict[str, Any], found: tuple[Mirror, ...]) -> None:
    """By its status; one that is being deleted wants none."""
    assert parse.mirrors([body]) == found


def test_a_filter_is_a_difference_both_ways() -> None:
    """One that is missing, and one that is not wanted any more; other filters are a server's own business."""
    plain, copied = scene(), scene().world(mirrors=(MIRROR,))
    routing = plain.model.traffic_routing.gateway_api
    assert routing is not None
    without, within = (objects.route(s.model, s.snap, routing, None, NOW) for s in (plain, copied))
    live = [{**body, "metadata": {**body["metadata"], "uid": "r"}} for body in (without, within)]
    assert [parse.route(body, without).current for body in live] == [True, False]
    assert [parse.route(body, within).current for body in live] == [False, True]
