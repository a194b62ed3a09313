"""The objects of ours, whole: what is in them, and what must never be."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chaffinch_operator.canary import objects
from chaffinch_operator.names import MAX_NAME, canary_name
from unit.canary.builders import NOW, Scene, digest, replica_set, scene, template

OWNER = {
    "apiVersion": "chaffinch.dev/v1alpha1",
    "kind": "CanaryRollout",
    "name": "web",
    "uid": "uid-1",
    "controller": True,
    "blockOwnerDeletion": False,
}


def metadata(name: str, **annotations: str) -> dict[str, Any]:
    """Metadata of a child."""
    labels = {
        "app.kubernetes.io/managed-by": "chaffinch",
        "app.kubernetes.io/name": name,
        "chaffinch.dev/rollout": "web",
    }
    notes = {f"chaffinch.dev/{k.replace('_', '-')}": v for k, v in annotations.items()}
    base = {"name": name, "namespace": "shop", "labels": labels, "ownerReferences": [OWNER]}
    return {**base, "annotations": notes} if notes else base


def backend(name: str, weight: int, track: str) -> dict[str, Any]:
    """A backend of the route with a filter of its own."""
    headers = {"set": [{"name": "x-chaffinch-track", "value": track}]}
    filters = [{"type": "RequestHeaderModifier", "requestHeaderModifier": headers}]
    return {"name": name, "port": 80, "weight": weight, "filters": filters}


def deployment(before: Scene) -> objects.Body:
    """The canary Deployment of a scene."""
    assert before.snap.target is not None
    return objects.canary_deployment(before.model, before.snap, before.snap.target, 3, 25, NOW)


def route(before: Scene, weight: int | None) -> objects.Body:
    """The HTTPRoute of a scene."""
    routing = before.model.traffic_routing.gateway_api
    assert routing is not None
    return objects.route(before.model, before.snap, routing, weight, NOW)


def test_the_canary_deployment() -> None:
    """The held template under a name and a label of its own, without the hash of a ReplicaSet."""
    held = template("v2")
    held["metadata"]["labels"]["pod-template-hash"] = "old"
    held["metadata"]["annotations"] = {"prometheus.io/scrape": "true"}
    assert deployment(scene().held("v2").target(template=held)) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata("web-canary", candidate=digest("v2"), weight="25", weight_since="2026-01-01T12:00:00Z"),
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web", "chaffinch.dev/track": "canary"}},
            "template": {
                "metadata": {
                    "labels": {"app": "web", "chaffinch.dev/track": "canary"},
                    "annotations": {"prometheus.io/scrape": "true"},
                },
                "spec": held["spec"],
            },
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 0,
        },
    }


def test_a_short_deadline_is_one_the_api_server_takes() -> None:
    """It must exceed minReadySeconds."""
    assert deployment(scene().spec(progressDeadlineSeconds=1))["spec"]["progressDeadlineSeconds"] == 11


def test_the_canary_service() -> None:
    """The user's selector without the narrowing, narrowed to the canary, and the same port."""
    narrowed = scene().service(
        selector={"app": "web", "pod-template-hash": "hv1"}, app_protocol="http", target_port="web"
    )
    assert narrowed.snap.service is not None
    assert objects.track_service(narrowed.model, narrowed.snap, narrowed.snap.service, objects.CANARY) == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata("web-canary"),
        "spec": {
            "selector": {"app": "web", "chaffinch.dev/track": "canary"},
            "ports": [{"port": 80, "targetPort": "web", "protocol": "TCP", "name": "http", "appProtocol": "http"}],
        },
    }
    plain = scene().service(port_name="")
    assert plain.snap.service is not None
    ports = objects.track_service(plain.model, plain.snap, plain.snap.service, objects.CANARY)["spec"]["ports"]
    assert ports == [{"port": 80, "targetPort": 8080, "protocol": "TCP"}]


def baseline(before: Scene) -> objects.Body:
    """The baseline Deployment of a scene, from the ReplicaSet that runs."""
    target = before.snap.target
    assert target is not None
    return objects.baseline_deployment(before.model, before.snap, target, target.replica_sets[0], 3)


def test_the_baseline_deployment() -> None:
    """Stable's template, that of its ReplicaSet and not the held one, under a name and a label of its own."""
    running = template("v1")
    running["metadata"]["labels"]["pod-template-hash"] = "hv1"
    stable = dataclasses.replace(replica_set("v1", 4), template=running)
    assert baseline(scene().held("v2").running(stable)) == {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata("web-baseline", stable=digest("v1")),
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "web", "chaffinch.dev/track": "baseline"}},
            "template": {
                "metadata": {"labels": {"app": "web", "chaffinch.dev/track": "baseline"}},
                "spec": template("v1")["spec"],
            },
            "progressDeadlineSeconds": 600,
            "revisionHistoryLimit": 0,
        },
    }


def test_the_baseline_service() -> None:
    """It selects the baseline's pods alone."""
    service = scene().snap.service
    assert service is not None
    body = objects.track_service(scene().model, scene().snap, service, objects.BASELINE)
    assert body["metadata"]["name"] == "web-baseline"
    assert body["spec"]["selector"] == {"app": "web", "chaffinch.dev/track": "baseline"}


@pytest.mark.parametrize(
    ("weight", "shares"),
    [
        (0, (100, 0, 0)),
        (5, (90, 5, 5)),
        (49, (2, 49, 49)),
        (50, (1, 500_000, 500_000)),
        (75, (1, 750_000, 250_000)),
        (objects.FADING, (999_998, 1, 1)),
    ],
)
def test_the_route_with_a_baseline(weight: int, shares: tuple[int, ...]) -> None:
    """The baseline gets what the canary gets, as far as there is that much; stable keeps a millionth at least."""
    routing = scene().model.traffic_routing.gateway_api
    assert routing is not None
    body = objects.route(scene().model, scene().snap, routing, weight, NOW, dedicated=True)
    names = (("web", "stable"), ("web-canary", "canary"), ("web-baseline", "baseline"))
    assert body["spec"]["rules"] == [
        {"backendRefs": [backend(name, share, track) for (name, track), share in zip(names, shares, strict=True)]}
    ]


@given(st.integers(0, 99), st.booleans())
def test_weights_are_read_as_they_were_written(weight: int, dedicated: bool) -> None:
    """Within what the Gateway API takes, and in the shares that were meant."""
    shares = objects.weights(weight, dedicated=dedicated)
    assert objects.weight_of(shares) == weight
    assert all(0 <= share <= 1_000_000 for share in shares)
    assert shares[0] > 0
    assert shares[1] / sum(shares) == pytest.approx(weight / 100, abs=1e-5)
    if dedicated:
        assert shares[2] / sum(shares) == pytest.approx(min(weight, 100 - weight) / 100, abs=1e-5)


def test_the_route_at_rest() -> None:
    """Everything to the user's Service."""
    assert route(scene(), None) == {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": metadata("web", weight_since="2026-01-01T12:00:00Z"),
        "spec": {
            "parentRefs": [{"name": "public"}],
            "hostnames": ["shop.example"],
            "rules": [{"backendRefs": [backend("web", 100, "stable")]}],
        },
    }


def test_the_route_with_weights() -> None:
    """Two backends that add up to a hundred, or to a million while it fades; no host names: all of the Gateway's."""
    parent = {"name": "public", "namespace": "infra", "sectionName": "https"}
    without = scene().spec(trafficRouting={"gatewayAPI": {"parentRefs": [parent], "hostnames": None}})
    for weight, stable, canary in ((25, 75, 25), (0, 100, 0), (objects.FADING, 999_999, 1)):
        spec = route(without, weight)["spec"]
        assert spec["rules"] == [
            {"backendRefs": [backend("web", stable, "stable"), backend("web-canary", canary, "canary")]}
        ]
    assert spec["parentRefs"] == [parent]
    assert "hostnames" not in spec


def test_children_carry_nothing_of_their_parent() -> None:
    """GitOps tools track by labels and annotations: a copied one would make them prune what is ours."""
    bodies = [deployment(scene()), baseline(scene()), route(scene(), 5)]
    for body in bodies:
        assert set(body["metadata"]["labels"]) == {
            "app.kubernetes.io/managed-by",
            "app.kubernetes.io/name",
            "chaffinch.dev/rollout",
        }
        assert all(key.startswith("chaffinch.dev/") for key in body["metadata"]["annotations"])
        assert objects.owned(body, "uid-1")
        assert not objects.owned(body, "uid-2")
    assert not objects.owned({}, "uid-1")


def test_names_are_short_enough() -> None:
    """Of the longest target a canary's name is still a label."""
    assert len(canary_name("w" * 63)) <= MAX_NAME
    assert canary_name("w" * 63) != canary_name("w" * 62 + "x")


def test_isolation_is_one_annotation() -> None:
    """The policy does the rest, so that the selector stays the user's field."""
    assert objects.isolation_note("web", "shop", "roll") == {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "web", "namespace": "shop", "annotations": {"chaffinch.dev/isolated": "roll"}},
    }
    assert objects.isolation_note("web", "shop", "")["metadata"]["annotations"] == {}
