"""Builders of the objects we own: canary Deployment and Service, HTTPRoute. Pure: spec and snapshot in, dict out."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from chaffinch_operator import names
from chaffinch_operator.canary import clock
from chaffinch_operator.canary.model import CanaryRolloutSpec, GatewayAPIRouting
from chaffinch_operator.canary.revision import bare
from chaffinch_operator.canary.snapshot import Service, Snapshot, Target

Body = dict[str, Any]

CANDIDATE = f"{names.GROUP}/candidate"
"""On the canary Deployment: digest of the template it runs."""
WEIGHT = f"{names.GROUP}/weight"
"""On the canary Deployment: the weight it was scaled for."""
WEIGHT_SINCE = f"{names.GROUP}/weight-since"
"""On whatever carries the weight: when it was last changed. Evidence is cut at this time, also after a restart."""
FADING = -1
"""As a weight: one request in a million. Envoy Gateway removes the Envoy cluster of a backend of weight 0, for a moment
before the routes that name it, and requests that meet such a route are answered 500 (seen with 1.9.1). So a weight
falls to a millionth first, and a backend gets its cluster by a millionth before it gets a share."""
TRACK_HEADER = "x-chaffinch-track"
STABLE, CANARY = "stable", "canary"


def canary_deployment(
    spec: CanaryRolloutSpec, snap: Snapshot, target: Target, replicas: int, weight: int, since: datetime
) -> Body:
    """The canary: the held template under a name and a track label of its own."""
    template = bare(target.template)
    labels = {**template.get("metadata", {}).get("labels", {}), names.LABEL_TRACK: CANARY}
    template = {**template, "metadata": {**template.get("metadata", {}), "labels": labels}}
    name = names.canary_name(target.name)
    metadata = _metadata(snap, name)
    metadata["annotations"] = {CANDIDATE: target.revision.digest, WEIGHT: str(weight), WEIGHT_SINCE: clock.stamp(since)}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {**target.selector, names.LABEL_TRACK: CANARY}},
            "template": template,
            "progressDeadlineSeconds": max(spec.progress_deadline_seconds, 11),
            "revisionHistoryLimit": 0,
        },
    }


def canary_service(spec: CanaryRolloutSpec, snap: Snapshot, service: Service) -> Body:
    """The canary's own Service: the user's selector, narrowed to the canary's pods."""
    selector = {k: v for k, v in service.selector.items() if k != "pod-template-hash"}
    port: Body = {"port": spec.service_ref.port, "targetPort": service.target_port, "protocol": "TCP"}
    if service.port_name:
        port["name"] = service.port_name
    if service.app_protocol:
        port["appProtocol"] = service.app_protocol
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(snap, names.canary_name(spec.service_ref.name)),
        "spec": {"selector": {**selector, names.LABEL_TRACK: CANARY}, "ports": [port]},
    }


def route(
    spec: CanaryRolloutSpec, snap: Snapshot, routing: GatewayAPIRouting, weight: int | None, since: datetime
) -> Body:
    """The HTTPRoute: all to the user's Service, or split with the canary's.

    weight: percent for the canary, FADING, or None for no canary backend.

    Each backend has a filter of its own. Without it Envoy Gateway puts both into one Envoy cluster, whose metrics
    cannot tell them apart.
    """
    ref = spec.service_ref
    shares = (999_999, 1) if weight == FADING else (100 - (weight or 0), weight or 0)
    backends = [_backend(ref.name, ref.port, shares[0], STABLE)]
    if weight is not None:
        backends.append(_backend(names.canary_name(ref.name), ref.port, shares[1], CANARY))
    metadata = _metadata(snap, snap.name)
    metadata["annotations"] = {WEIGHT_SINCE: clock.stamp(since)}
    body: Body = {
        "parentRefs": [p.model_dump(by_alias=True, exclude_none=True) for p in routing.parent_refs],
        "rules": [{"backendRefs": backends}],
    }
    if routing.hostnames:
        body["hostnames"] = list(routing.hostnames)
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": body}


def isolation_note(service: str, namespace: str, rollout: str) -> Body:
    """A server-side apply of one annotation, so that the selector policy narrows the Service in that very write.

    The policy's change belongs to no field manager, so the owner's next server-side apply meets no conflict. Without
    a rollout the annotation goes, and the policy widens the selector again.
    """
    notes = {names.ANNOTATION_ISOLATED: rollout} if rollout else {}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": service, "namespace": namespace, "annotations": notes},
    }


def owned(body: Mapping[str, Any], uid: str) -> bool:
    """Whether the object is a child of the CanaryRollout of this uid."""
    owners = (body.get("metadata") or {}).get("ownerReferences") or []
    return any(o.get("uid") == uid for o in owners)


def _backend(name: str, port: int, weight: int, track: str) -> Body:
    headers = {"set": [{"name": TRACK_HEADER, "value": track}]}
    return {
        "name": name,
        "port": port,
        "weight": weight,
        "filters": [{"type": "RequestHeaderModifier", "requestHeaderModifier": headers}],
    }


def _metadata(snap: Snapshot, name: str) -> Body:
    owner = {
        "apiVersion": names.API_VERSION,
        "kind": "CanaryRollout",
        "name": snap.name,
        "uid": snap.uid,
        "controller": True,
        "blockOwnerDeletion": False,
    }
    return {
        "name": name,
        "namespace": snap.namespace,
        "labels": names.child_labels(snap.name, name),
        "ownerReferences": [owner],
    }
