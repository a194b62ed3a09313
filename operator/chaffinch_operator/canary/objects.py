"""Builders of the objects we own: Deployment and Service of canary and baseline, HTTPRoute. Pure.

Spec and snapshot in, dict out.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from chaffinch_operator import names
from chaffinch_operator.canary import clock
from chaffinch_operator.canary.model import CanaryRolloutSpec, GatewayAPIRouting
from chaffinch_operator.canary.revision import Template, bare
from chaffinch_operator.canary.sizing import baseline_weight
from chaffinch_operator.canary.snapshot import ReplicaSet, Service, Snapshot, Target
from chaffinch_operator.children.mirroring import mirror_filter

Body = dict[str, Any]

CANDIDATE = f"{names.GROUP}/candidate"
"""On the canary Deployment: digest of the template it runs."""
STABLE_REVISION = f"{names.GROUP}/stable"
"""On the baseline Deployment: digest of the template it runs."""
WEIGHT = f"{names.GROUP}/weight"
"""On the canary Deployment: the weight it was scaled for."""
WEIGHT_SINCE = f"{names.GROUP}/weight-since"
"""On whatever carries the weight: when it was last changed. Evidence is cut at this time, also after a restart."""
FADING = -1
"""As a weight: one request in a million. Envoy Gateway removes the Envoy cluster of a backend of weight 0, for a moment
before the routes that name it, and requests that meet such a route are answered 500 (seen with 1.9.1). So a weight
falls to a millionth first, and a backend gets its cluster by a millionth before it gets a share."""
TRACK_HEADER = "x-chaffinch-track"
STABLE, CANARY, BASELINE = "stable", "canary", "baseline"
_MILLION, _PER_PERCENT = 1_000_000, 10_000


def canary_deployment(
    spec: CanaryRolloutSpec, snap: Snapshot, target: Target, replicas: int, weight: int, since: datetime
) -> Body:
    """The canary: the held template under a name and a track label of its own."""
    notes = {CANDIDATE: target.revision.digest, WEIGHT: str(weight), WEIGHT_SINCE: clock.stamp(since)}
    return _copy(spec, snap, target, target.template, CANARY, replicas, notes)


def baseline_deployment(
    spec: CanaryRolloutSpec, snap: Snapshot, target: Target, stable: ReplicaSet, replicas: int
) -> Body:
    """The dedicated baseline: stable's template, that of its ReplicaSet, as the canary is made from the held one.

    The track label is part of its template, so it has another pod-template-hash than stable: the isolated Service
    does not select its pods.
    """
    notes = {STABLE_REVISION: stable.revision.digest}
    return _copy(spec, snap, target, stable.template, BASELINE, replicas, notes)


def _copy(
    spec: CanaryRolloutSpec,
    snap: Snapshot,
    target: Target,
    template: Template,
    track: str,
    replicas: int,
    notes: Mapping[str, str],
) -> Body:
    template = bare(template)
    labels = {**template.get("metadata", {}).get("labels", {}), names.LABEL_TRACK: track}
    template = {**template, "metadata": {**template.get("metadata", {}), "labels": labels}}
    metadata = _metadata(snap, names.child_name(target.name, track))
    metadata["annotations"] = dict(notes)
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": metadata,
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {**target.selector, names.LABEL_TRACK: track}},
            "template": template,
            "progressDeadlineSeconds": max(spec.progress_deadline_seconds, 11),
            "revisionHistoryLimit": 0,
        },
    }


def track_service(spec: CanaryRolloutSpec, snap: Snapshot, service: Service, track: str) -> Body:
    """A Service of the canary's, or the baseline's, own: the user's selector, narrowed to the pods of the track."""
    selector = {k: v for k, v in service.selector.items() if k != "pod-template-hash"}
    port: Body = {"port": spec.service_ref.port, "targetPort": service.target_port, "protocol": "TCP"}
    if service.port_name:
        port["name"] = service.port_name
    if service.app_protocol:
        port["appProtocol"] = service.app_protocol
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(snap, names.child_name(spec.service_ref.name, track)),
        "spec": {"selector": {**selector, names.LABEL_TRACK: track}, "ports": [port]},
    }


def route(
    spec: CanaryRolloutSpec,
    snap: Snapshot,
    routing: GatewayAPIRouting,
    weight: int | None,
    since: datetime,
    *,
    dedicated: bool = False,
) -> Body:
    """The HTTPRoute: all to the user's Service, or split with the canary's, and with the baseline's if dedicated.

    weight: percent for the canary, FADING, or None for no backend but the user's Service.

    Each backend has a filter of its own. Without it Envoy Gateway puts all into one Envoy cluster, whose metrics
    cannot tell them apart.
    """
    ref = spec.service_ref
    shares = weights(weight, dedicated=dedicated)
    backends = [
        _backend(ref.name if track == STABLE else names.child_name(ref.name, track), ref.port, share, track)
        for track, share in zip((STABLE, CANARY, BASELINE), shares, strict=False)
    ]
    metadata = _metadata(snap, snap.name)
    metadata["annotations"] = {WEIGHT_SINCE: clock.stamp(since)}
    rule: Body = {"backendRefs": backends}
    if snap.mirrors:
        rule["filters"] = [mirror_filter(mirror) for mirror in snap.mirrors]
    body: Body = {
        "parentRefs": [p.model_dump(by_alias=True, exclude_none=True) for p in routing.parent_refs],
        "rules": [rule],
    }
    if routing.hostnames:
        body["hostnames"] = list(routing.hostnames)
    return {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": metadata, "spec": body}


def weights(weight: int | None, *, dedicated: bool) -> tuple[int, ...]:
    """Weights of the backends stable, canary and baseline, as far as there are such backends.

    Stable's is never 0 while there are others, as FADING explains: from half of all requests on a dedicated baseline
    takes what stable would have had, and stable keeps one request in a million.
    """
    if weight is None:
        return (100,)
    if weight == FADING:
        return (_MILLION - 2, 1, 1) if dedicated else (_MILLION - 1, 1)
    if not dedicated:
        return (100 - weight, weight)
    beside = baseline_weight(weight)
    if rest := 100 - weight - beside:
        return (rest, weight, beside)
    return (1, weight * _PER_PERCENT, beside * _PER_PERCENT)


def weight_of(shares: Sequence[int]) -> int | None:
    """The weight that `weights` made these from: percent of the canary, FADING, or None without a canary backend."""
    if len(shares) < 2:
        return None
    if sum(shares) <= 100:
        return shares[1]
    return FADING if shares[1] < _PER_PERCENT or len(shares) < 3 else shares[1] // _PER_PERCENT


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
