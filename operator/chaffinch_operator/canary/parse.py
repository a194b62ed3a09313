"""From API objects to the frozen values of `snapshot`. Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from chaffinch_operator import names
from chaffinch_operator.canary import clock, objects, revision
from chaffinch_operator.canary.sizing import baseline_weight
from chaffinch_operator.canary.snapshot import Canary, ReplicaSet, Route, Service, Target
from chaffinch_operator.canary.status import CanaryRolloutStatus, Revision
from chaffinch_operator.children import mirroring
from chaffinch_operator.children.mirroring import Mirror

Object = Mapping[str, Any]


def status(body: Object) -> CanaryRolloutStatus:
    """The status as it was left; a damaged one counts as none, and everything is found out again."""
    try:
        return CanaryRolloutStatus.model_validate(body.get("status") or {})
    except ValidationError:
        return CanaryRolloutStatus()


def target(deployment: Object, replica_sets: Sequence[Object]) -> Target:
    """The user's Deployment with the ReplicaSets it owns."""
    meta, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status") or {}
    owned = [r for r in replica_sets if objects.owned(r, meta["uid"])]
    replicas = int(spec.get("replicas", 1))
    seen = status.get("observedGeneration", 0) >= meta.get("generation", 1)
    counts = [status.get(k, 0) for k in ("replicas", "updatedReplicas", "availableReplicas")]
    paused = bool(spec.get("paused"))
    return Target(
        name=meta["name"],
        uid=meta["uid"],
        resource_version=meta["resourceVersion"],
        template=spec["template"],
        revision=_revision(spec["template"]),
        selector=(spec.get("selector") or {}).get("matchLabels") or {},
        replicas=replicas,
        paused=paused,
        recreate=(spec.get("strategy") or {}).get("type") == "Recreate",
        settled=seen and not paused and all(n == replicas for n in counts),
        stuck=_stuck(status) if seen and not paused else "",
        replica_sets=tuple(sorted((_replica_set(r) for r in owned), key=lambda r: r.name)),
    )


def _revision(template: Object) -> Revision:
    labels = (template.get("metadata") or {}).get("labels") or {}
    return Revision(
        digest=revision.digest(template), hash=labels.get(revision.HASH_LABEL, ""), image=revision.image(template)[:512]
    )


def _replica_set(body: Object) -> ReplicaSet:
    status = body.get("status") or {}
    return ReplicaSet(
        name=body["metadata"]["name"],
        revision=_revision(body["spec"]["template"]),
        desired=int(body["spec"].get("replicas", 0)),
        ready=int(status.get("readyReplicas", 0)),
        pods=int(status.get("replicas", 0)),
        template=body["spec"]["template"],
    )


def _stuck(status: Object) -> str:
    for condition in status.get("conditions") or []:
        if condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded":
            return str(condition.get("message", "the target exceeded its progress deadline"))
    return ""


def service(body: Object, port: int) -> Service:
    """The user's Service, as far as its port and selector go."""
    spec, meta = body["spec"], body["metadata"]
    ports = spec.get("ports") or []
    mine: Object = next((p for p in ports if p.get("port") == port), {})
    return Service(
        resource_version=meta["resourceVersion"],
        selector=spec.get("selector") or {},
        target_port=mine.get("targetPort", port),
        port_name=mine.get("name", ""),
        ports=tuple(int(p["port"]) for p in ports),
        app_protocol=mine.get("appProtocol", ""),
        isolated_note=(meta.get("annotations") or {}).get(names.ANNOTATION_ISOLATED, ""),
    )


def canary(deployment: Object, service_exists: bool, slices: Sequence[Object], pods: Sequence[Object]) -> Canary:
    """The canary Deployment, or the baseline's, with what belongs to it."""
    meta, spec, status = deployment["metadata"], deployment["spec"], deployment.get("status") or {}
    notes = meta.get("annotations") or {}
    seen = status.get("observedGeneration", 0) >= meta.get("generation", 1)
    return Canary(
        uid=meta["uid"],
        digest=notes.get(objects.CANDIDATE) or notes.get(objects.STABLE_REVISION, ""),
        desired=int(spec.get("replicas", 1)),
        ready=int(status.get("readyReplicas", 0)),
        available=int(status.get("availableReplicas", 0)) if seen else 0,
        observed=seen,
        weight=_integer(notes.get(objects.WEIGHT, "")),
        weight_since=clock.parse(notes.get(objects.WEIGHT_SINCE, "")),
        deleting="deletionTimestamp" in meta,
        created_at=clock.parse(meta.get("creationTimestamp", "")),
        service_exists=service_exists,
        ready_endpoints=ready_endpoints(slices),
        restarts=restarts(pods),
    )


def ready_endpoints(slices: Sequence[Object]) -> int:
    """Endpoints that are ready and not terminating."""
    return sum(
        1
        for s in slices
        for e in s.get("endpoints") or []
        if (e.get("conditions") or {}).get("ready") and not (e.get("conditions") or {}).get("terminating")
    )


def restarts(pods: Sequence[Object]) -> int:
    """Restarts of all containers of all pods."""
    return sum(
        int(c.get("restartCount", 0)) for p in pods for c in (p.get("status") or {}).get("containerStatuses") or []
    )


def _integer(text: str) -> int:
    return int(text) if text.isdigit() else 0


def route(body: Object, wanted: Object) -> Route:
    """The generated HTTPRoute; wanted: what we would write for the weights it has."""
    meta = body["metadata"]
    shares = route_shares(body)
    weight, dedicated = objects.weight_of(shares), len(shares) > 2
    percent = max(weight or 0, 0)
    accepted, problem = _acceptance(body)
    return Route(
        uid=meta["uid"],
        stable_weight=100 - percent - (baseline_weight(percent) if dedicated else 0),
        canary_weight=0 if weight == objects.FADING else weight,
        weight_since=clock.parse((meta.get("annotations") or {}).get(objects.WEIGHT_SINCE, "")),
        accepted=accepted,
        problem=problem,
        fading=weight == objects.FADING,
        baseline=dedicated,
        current=_covers(body["spec"], wanted["spec"]) and _mirrors(body) == _mirrors(wanted),
    )


def route_shares(body: Object) -> tuple[int, ...]:
    """Weights of the backends of a route, as they are written."""
    rules = (body.get("spec") or {}).get("rules") or [{}]
    return tuple(int(b.get("weight", 1)) for b in rules[0].get("backendRefs") or [])


def mirrors(evaluations: Sequence[Object]) -> tuple[Mirror, ...]:
    """Where ShadowEvaluations that adopt a route want copies now, by the status that their own slice writes."""
    found = []
    for body in evaluations:
        asked = ((body["spec"].get("traffic") or {}).get("mirror")) or {}
        told = ((body.get("status") or {}).get("mirror")) or {}
        if asked.get("mode") == "Adopt" and told.get("active") and "deletionTimestamp" not in body["metadata"]:
            found.append(Mirror(told["service"], int(told["port"]), int(asked.get("percent") or 100)))
    return tuple(sorted(found, key=lambda mirror: mirror.service))


def _mirrors(body: Object) -> list[str]:
    """Services that copies go to: one that is not wanted any more is a difference, unlike what a server adds."""
    rules = (body.get("spec") or {}).get("rules") or []
    return [name for rule in rules for each in rule.get("filters") or () if (name := mirroring.target(each))]


def _acceptance(body: Object) -> tuple[bool, str]:
    generation = body["metadata"].get("generation", 1)
    parents = (body.get("status") or {}).get("parents") or []
    wanted = len(body["spec"].get("parentRefs") or [])
    current = [
        c
        for p in parents
        for c in p.get("conditions") or []
        if c.get("type") in {"Accepted", "ResolvedRefs"} and c.get("observedGeneration", 0) >= generation
    ]
    bad = [c for c in current if c.get("status") == "False"]
    good = sum(1 for c in current if c.get("status") == "True")
    problem = f"{bad[0].get('reason')}: {bad[0].get('message')}" if bad else ""
    return not bad and good >= 2 * wanted > 0, problem


def _covers(live: Any, wanted: Any) -> bool:  # noqa: ANN401 - any JSON
    """Whether everything we would write is there; the API server's defaults beside it do not matter."""
    if isinstance(wanted, Mapping):
        return isinstance(live, Mapping) and all(k in live and _covers(live[k], v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return isinstance(live, list) and len(live) == len(wanted) and all(map(_covers, live, wanted))
    return bool(live == wanted)
