"""I/O: look at everything that an evaluation consists of and names, and build the frozen Snapshot."""

import asyncio
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from chaffinch_operator.children import passwords, seen, workload, writes
from chaffinch_operator.children.seen import Data
from chaffinch_operator.errors import KindMissing, Refused
from chaffinch_operator.kube import Kube, Object
from chaffinch_operator.names import LABEL_EVALUATION, label_value
from chaffinch_operator.ports.shadow import ShadowService, ShadowServiceError
from chaffinch_operator.resources import (
    CANARYROLLOUTS,
    CONFIGMAPS,
    DEPLOYMENTS,
    HTTPROUTES,
    JOBS,
    SECRETS,
    SERVICES,
)
from chaffinch_operator.settings import Settings
from chaffinch_operator.shadow import objects, problems, said
from chaffinch_operator.shadow.apply import RESOURCES
from chaffinch_operator.shadow.decide import Decision, Stage
from chaffinch_operator.shadow.model import ShadowEvaluationSpec
from chaffinch_operator.shadow.plan import desired
from chaffinch_operator.shadow.reasons import Reason
from chaffinch_operator.shadow.snapshot import Rollout, Route, Snapshot
from chaffinch_operator.shadow.status import RunStatus, ShadowEvaluationStatus

Children = Mapping[tuple[str, str], Object]
_FORBIDDEN = 403
_LISTED = ("Job", "ConfigMap")
"""Kinds of which an earlier spec may have left some: they are listed, all others read by name."""


@dataclass(frozen=True, slots=True)
class Door:
    """How the service of an evaluation is reached."""

    address: str
    token: str


def empty(body: Mapping[str, Any], settings: Settings) -> Snapshot:
    """What is known without a look: the object itself and the settings."""
    meta = body["metadata"]
    return Snapshot(
        namespace=meta["namespace"],
        name=meta["name"],
        uid=meta["uid"],
        generation=meta["generation"],
        image=settings.shadow_image,
        postgres_image=settings.postgres_image,
        operator_namespace=settings.namespace,
        operator_account=settings.service_account,
        deleting="deletionTimestamp" in meta,
    )


async def observe(
    kube: Kube, bare: Snapshot, spec: ShadowEvaluationSpec, before: ShadowEvaluationStatus, service: ShadowService
) -> tuple[Snapshot, Door | None]:
    """One look. What the operator may not read is a state of the evaluation, not an error."""
    snap = await _routes(kube, bare, spec, before)
    if snap.deleting:
        return snap, None
    try:
        secrets = await _secrets(kube, spec, snap)
        children = await _children(kube, spec, snap)
    except Refused as refusal:
        if refusal.status != _FORBIDDEN:
            raise
        return replace(snap, rights_missing=refusal.message), None
    snap = _snapshot(spec, snap, secrets, children)
    snap = await _versions(kube, spec, snap)
    snap = replace(snap, rollout=await _rollout(kube, spec, snap))
    door = _door(snap, secrets, children)
    over = before.run.generation == snap.generation and before.run.concluded_at
    return (snap if over or door is None else await _ask(service, door, snap)), door


async def _routes(kube: Kube, snap: Snapshot, spec: ShadowEvaluationSpec, before: ShadowEvaluationStatus) -> Snapshot:
    mirror = spec.traffic.mirror
    names = set(before.mirror.adopted) if before.mirror is not None else set()
    if mirror is not None and mirror.http_route_ref is not None:
        names.add(mirror.http_route_ref.name)
    try:
        found = await asyncio.gather(*(kube.get(HTTPROUTES, name, snap.namespace) for name in sorted(names)))
    except KindMissing:
        return replace(snap, routes_served=False)
    return replace(snap, routes={body["metadata"]["name"]: _route(body) for body in found if body is not None})


def _route(body: Object) -> Route:
    meta = body["metadata"]
    makers = [o["name"] for o in meta.get("ownerReferences") or () if o.get("kind") == CANARYROLLOUTS.kind]
    rules = tuple((body.get("spec") or {}).get("rules") or ())
    return Route(meta["name"], meta["resourceVersion"], rules, makers[0] if makers else "")


async def _secrets(kube: Kube, spec: ShadowEvaluationSpec, snap: Snapshot) -> dict[str, Object]:
    names = {ref.name for _, ref in problems.secrets(spec)} | set(objects.made_once(spec, snap.name))
    found = await asyncio.gather(*(kube.get(SECRETS, name, snap.namespace) for name in sorted(names)))
    return {secret["metadata"]["name"]: secret for secret in found if secret is not None}


async def _children(kube: Kube, spec: ShadowEvaluationSpec, snap: Snapshot) -> dict[tuple[str, str], Object]:
    """Objects of the names we need, and what an earlier spec may have left."""
    everything = Decision(Stage.SERVE, Reason.COLLECTING, "", RunStatus(started_at="now"))
    wanted = {(kind, body["metadata"]["name"]) for kind, body in desired(spec, snap, everything)}
    names = sorted(key for key in wanted if key[0] not in _LISTED)
    labels = f"{LABEL_EVALUATION}={label_value(snap.name)}"
    jobs, files = await asyncio.gather(
        kube.list(JOBS, snap.namespace, labels=labels), kube.list(CONFIGMAPS, snap.namespace, labels=labels)
    )
    found = await asyncio.gather(*(kube.get(RESOURCES[kind], name, snap.namespace) for kind, name in names))
    there = {key: body for key, body in zip(names, found, strict=True) if body is not None}
    listed = [(JOBS.kind, each) for each in jobs] + [(CONFIGMAPS.kind, each) for each in files]
    return there | {(kind, body["metadata"]["name"]): body for kind, body in listed}


def _snapshot(
    spec: ShadowEvaluationSpec, snap: Snapshot, secrets: Mapping[str, Object], children: Children
) -> Snapshot:
    data = {name: seen.data(secret) for name, secret in secrets.items()}
    ours, own = set(objects.made_once(spec, snap.name)), objects.owner(snap)
    known = {**children, **{(SECRETS.kind, name): secret for name, secret in secrets.items() if name in ours}}
    dsn = objects.dsn_ref(spec, snap.name)
    address = data.get(dsn.name, {}).get(dsn.key)
    replay = children.get((JOBS.kind, objects.replay_name(snap)))
    there = children.get(("Deployment", objects.deployment_name(snap.name)))
    found = replace(
        snap,
        secrets={name: frozenset(keys) for name, keys in data.items()},
        objects={key: seen.found(body, own) for key, body in known.items()},
        migration=seen.job(children.get((JOBS.kind, objects.migration_name(spec, snap)))),
        replay=seen.job(replay),
        shards_done=int(((replay or {}).get("status") or {}).get("succeeded", 0)),
        database=seen.stateful(children.get(("StatefulSet", objects.postgres_name(snap.name)))),
        service=seen.deployed(there),
        secrets_digest=_digest(data, ((dsn.name, dsn.key), (objects.token_name(snap.name), "token"))),
        database_ports=passwords.ports(address.decode(errors="replace")) if address else snap.database_ports,
    )
    wanted = writes.noted(objects.deployment(spec, found))
    current = found.service.current and not writes.differs(found.objects, "Deployment", wanted)
    return replace(found, service=replace(found.service, current=current))


async def _versions(kube: Kube, spec: ShadowEvaluationSpec, snap: Snapshot) -> Snapshot:
    """Services of the versions, and what runs behind them."""
    names = sorted({ref.name for _, ref in problems.services(spec)})
    found = await asyncio.gather(*(kube.get(SERVICES, name, snap.namespace) for name in names))
    services = {name: body for name, body in zip(names, found, strict=True) if body is not None}
    deployments = await kube.list(DEPLOYMENTS, snap.namespace)
    return replace(
        snap,
        services={name: tuple(p["port"] for p in body["spec"].get("ports") or ()) for name, body in services.items()},
        workloads={name: workload.behind(body, deployments) for name, body in services.items()},
    )


async def _rollout(kube: Kube, spec: ShadowEvaluationSpec, snap: Snapshot) -> Rollout | None:
    """The CanaryRollout that is to be started, and what its target would run."""
    ref = spec.actions.canary_rollout_ref
    body = await kube.get(CANARYROLLOUTS, ref.name, snap.namespace) if ref is not None else None
    if body is None:
        return None
    name = body["spec"]["targetRef"]["name"]
    target = await kube.get(DEPLOYMENTS, name, snap.namespace)
    template = workload.digest(target["spec"]["template"]) if target is not None else ""
    meta, suspended = body["metadata"], bool(body["spec"].get("suspend"))
    return Rollout(meta["name"], meta["resourceVersion"], suspended, name, template)


def _door(snap: Snapshot, secrets: Mapping[str, Object], children: Children) -> Door | None:
    """By the Service's address: it needs no DNS of the cluster's. None while nothing serves behind it."""
    service = children.get((SERVICES.kind, objects.service_name(snap.name)))
    address = ((service or {}).get("spec") or {}).get("clusterIP", "")
    token = seen.data(secrets.get(objects.token_name(snap.name)) or {}).get("token", b"")
    if not snap.service.ready or not snap.service.current or not token or address in {"", "None"}:
        return None
    host = f"[{address}]" if ":" in address else address
    return Door(f"http://{host}:{objects.API_PORT}", token.decode())


async def _ask(service: ShadowService, door: Door, snap: Snapshot) -> Snapshot:
    try:
        answer = await service.evaluation(door.address, door.token)
        return replace(snap, said=said.require(answer, snap.uid, snap.generation))
    except (ShadowServiceError, said.UnusableError) as problem:
        return replace(snap, silence=str(problem))


def _digest(data: Mapping[str, Data], parts: tuple[tuple[str, str], ...]) -> str:
    """Of what the service reads once; a random password or token is in it, so nothing can be guessed from it."""
    total = hashlib.sha256()
    for name, item in parts:
        total.update(hashlib.sha256(data.get(name, {}).get(item, b"")).digest())
    return total.hexdigest()[:16]
