"""I/O: look at the world and build the Snapshot of one pass. Decides nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from chaffinch_operator import names
from chaffinch_operator.canary import objects, parse
from chaffinch_operator.canary.hold_keeper import HoldKeeper
from chaffinch_operator.canary.model import CanaryRolloutSpec, GatewayAPIRouting
from chaffinch_operator.canary.reasons import IN_FLIGHT, Reason
from chaffinch_operator.canary.snapshot import Blocker, Canary, Route, Service, Snapshot, Target
from chaffinch_operator.children.mirroring import Mirror
from chaffinch_operator.errors import KindMissing
from chaffinch_operator.kube import (
    CANARYROLLOUTS,
    DEPLOYMENTS,
    ENDPOINTSLICES,
    HTTPROUTES,
    NAMESPACES,
    PODS,
    REPLICASETS,
    SERVICES,
    Kube,
)
from chaffinch_operator.resources import SHADOWEVALUATIONS

Object = Mapping[str, Any]


async def observe(kube: Kube, hold: HoldKeeper, body: Object, spec: CanaryRolloutSpec, now: datetime) -> Snapshot:
    """Everything but metrics. Raises ChaffinchError when the API server does not answer."""
    meta = body["metadata"]
    base = Snapshot(
        name=meta["name"],
        namespace=meta["namespace"],
        uid=meta["uid"],
        generation=meta["generation"],
        deleting="deletionTimestamp" in meta,
        request=(meta.get("annotations") or {}).get(names.ANNOTATION_ACTION, ""),
    )
    namespace = base.namespace
    routing = spec.traffic_routing.gateway_api
    base = replace(
        base,
        mirrors=await _mirrors(kube, base, routing),
        evaluation=await _evaluation(kube, namespace, spec),
    )
    target, service, (canary, taken), (baseline, also_taken), (route, refused), rivals = await asyncio.gather(
        _target(kube, namespace, spec),
        _service(kube, namespace, spec),
        _copy(kube, base, spec, objects.CANARY),
        _baseline(kube, base, body, spec),
        _route(kube, base, spec, routing, now),
        _rivals(kube, namespace, body, spec),
    )
    blockers = [b for b in (_conflict(body, rivals), taken, also_taken) if b]
    snap = replace(
        base,
        target=target,
        service=service,
        canary=canary,
        route=route,
        baseline=baseline,
        held=hold.state.installed,
        hold_message=hold.state.message,
    )
    if not hold.state.installed:
        blockers.append(Blocker(Reason.HOLD_NOT_INSTALLED, hold.state.message))
    blockers += [refused] if refused else []
    if snap.deleting:
        snap = replace(snap, namespace_deleting=await _namespace_deleting(kube, namespace))
    return replace(snap, blockers=tuple(blockers))


async def _mirrors(kube: Kube, snap: Snapshot, routing: GatewayAPIRouting | None) -> tuple[Mirror, ...]:
    """ShadowEvaluations that name the route we make: they never write it themselves."""
    if routing is None or snap.deleting:
        return ()
    fields = f"spec.traffic.mirror.httpRouteRef.name={snap.name}"
    return parse.mirrors(await kube.list(SHADOWEVALUATIONS, snap.namespace, fields=fields))


async def _evaluation(kube: Kube, namespace: str, spec: CanaryRolloutSpec) -> Object | None:
    """The one that must have said Promote."""
    if spec.prerequisites is None:
        return None
    return await kube.get(SHADOWEVALUATIONS, spec.prerequisites.shadow_evaluation_ref.name, namespace)


async def _rivals(kube: Kube, namespace: str, body: Object, spec: CanaryRolloutSpec) -> Sequence[Object]:
    """All rollouts of the target. Not asked for while a canary is under way: whoever came later gives way."""
    last = (body.get("status") or {}).get("lastDecision") or {}
    if last.get("action") in IN_FLIGHT:
        return []
    return await kube.list(CANARYROLLOUTS, namespace, fields=f"spec.targetRef.name={spec.target_ref.name}")


async def _target(kube: Kube, namespace: str, spec: CanaryRolloutSpec) -> Target | None:
    body = await kube.get(DEPLOYMENTS, spec.target_ref.name, namespace)
    if body is None or "deletionTimestamp" in body["metadata"]:
        return None
    labels = ((body["spec"].get("selector") or {}).get("matchLabels")) or {}
    selector = ",".join(f"{k}={v}" for k, v in sorted(labels.items()))
    return parse.target(body, await kube.list(REPLICASETS, namespace, labels=selector))


async def _service(kube: Kube, namespace: str, spec: CanaryRolloutSpec) -> Service | None:
    body = await kube.get(SERVICES, spec.service_ref.name, namespace)
    return parse.service(body, spec.service_ref.port) if body else None


async def _baseline(
    kube: Kube, snap: Snapshot, body: Object, spec: CanaryRolloutSpec
) -> tuple[Canary | None, Blocker | None]:
    """The dedicated baseline, where one is wanted for the next candidate or was for the present one."""
    if "Dedicated" not in {spec.canary.baseline, (body.get("status") or {}).get("baseline")}:
        return None, None
    return await _copy(kube, snap, spec, objects.BASELINE)


async def _copy(
    kube: Kube, snap: Snapshot, spec: CanaryRolloutSpec, track: str
) -> tuple[Canary | None, Blocker | None]:
    """The canary, or the baseline; or the blocker that something else has its name."""
    name, service_name = (names.child_name(base, track) for base in (spec.target_ref.name, spec.service_ref.name))
    body, service = await asyncio.gather(
        kube.get(DEPLOYMENTS, name, snap.namespace), kube.get(SERVICES, service_name, snap.namespace)
    )
    for kind, one in (("Deployment", body), ("Service", service)):
        if one is not None and not objects.owned(one, snap.uid):
            return None, _name_taken(kind, one["metadata"]["name"])
    if body is None:
        return None, None
    slices, pods = await asyncio.gather(
        kube.list(ENDPOINTSLICES, snap.namespace, labels=f"kubernetes.io/service-name={service_name}"),
        kube.list(PODS, snap.namespace, labels=_pod_selector(body)),
    )
    return parse.canary(body, service is not None, slices, pods), None


def _pod_selector(deployment: Object) -> str:
    labels = deployment["spec"]["selector"]["matchLabels"]
    return ",".join(f"{k}={v}" for k, v in sorted(labels.items()))


async def _route(
    kube: Kube, snap: Snapshot, spec: CanaryRolloutSpec, routing: GatewayAPIRouting | None, now: datetime
) -> tuple[Route | None, Blocker | None]:
    if routing is None:
        return None, None
    try:
        body = await kube.get(HTTPROUTES, snap.name, snap.namespace)
    except KindMissing:
        return None, Blocker(
            Reason.GATEWAY_API_MISSING,
            "spec.trafficRouting.gatewayAPI: the cluster does not serve "
            "gateway.networking.k8s.io/v1 HTTPRoute: install the Gateway API CRDs and a Gateway, or use "
            "trafficRouting.replicas",
        )
    if body is None:
        return None, None
    if not objects.owned(body, snap.uid):
        return None, _name_taken("HTTPRoute", snap.name)
    shares = parse.route_shares(body)
    wanted = objects.route(spec, snap, routing, objects.weight_of(shares), now, dedicated=len(shares) > 2)
    route = parse.route(body, wanted)
    if route.problem:
        return route, Blocker(Reason.ROUTE_NOT_ACCEPTED, f"HTTPRoute {snap.name} is refused: {route.problem}")
    return route, None


def _name_taken(kind: str, name: str) -> Blocker:
    return Blocker(
        Reason.NAME_TAKEN,
        f"there is a {kind} {name} that this CanaryRollout did not make, but needs the name of: rename or delete it",
    )


def _conflict(body: Object, all_rollouts: Sequence[Object]) -> Blocker | None:
    """The oldest CanaryRollout of a target wins; the others say so."""

    def age(rollout: Object) -> tuple[str, str]:
        return rollout["metadata"].get("creationTimestamp", ""), rollout["metadata"]["name"]

    target = body["spec"]["targetRef"]["name"]
    older = [
        r
        for r in all_rollouts
        if r["spec"]["targetRef"]["name"] == target
        and age(r) < age(body)
        and r["metadata"]["uid"] != body["metadata"]["uid"]
        and "deletionTimestamp" not in r["metadata"]
    ]
    if not older:
        return None
    name = min(older, key=age)["metadata"]["name"]
    return Blocker(
        Reason.TARGET_CONFLICT,
        f"spec.targetRef: Deployment {target} is the target of the older CanaryRollout "
        f"{name} already: delete one of the two",
    )


async def _namespace_deleting(kube: Kube, namespace: str) -> bool:
    body = await kube.get(NAMESPACES, namespace)
    return body is None or "deletionTimestamp" in body["metadata"]
