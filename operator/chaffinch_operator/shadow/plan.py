"""From the decision to the writes it takes; none where the world is as it should be. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from chaffinch_operator.children import postgres
from chaffinch_operator.children.owner import Object
from chaffinch_operator.children.seen import JobState
from chaffinch_operator.children.writes import Apply, Delete, differs, noted
from chaffinch_operator.shadow import objects, policies, routes
from chaffinch_operator.shadow.canary import Start, start
from chaffinch_operator.shadow.decide import Decision, Stage, adopted, wanted_filter
from chaffinch_operator.shadow.model import ShadowEvaluationSpec
from chaffinch_operator.shadow.snapshot import Snapshot
from chaffinch_operator.shadow.status import ShadowEvaluationStatus


class Secret(StrEnum):
    """What is made once and kept."""

    PASSWORD = "password"  # noqa: S105 - a kind of Secret
    TOKEN = "token"  # noqa: S105 - a kind of Secret


@dataclass(frozen=True, slots=True)
class MakeSecret:
    """Make a Secret unless it is there."""

    what: Secret
    name: str


@dataclass(frozen=True, slots=True)
class PatchRoute:
    """Change the filters of an HTTPRoute, if it is still as it was seen."""

    name: str
    patch: tuple[Object, ...]


Operation = Apply | Delete | MakeSecret | PatchRoute | Start


def plan(
    spec: ShadowEvaluationSpec, before: ShadowEvaluationStatus, snap: Snapshot, decision: Decision
) -> list[Operation]:
    """What has to be written, in this order."""
    if decision.stage is Stage.NOTHING:
        return []
    filters = list(_filters(spec, snap, decision))
    if decision.stage is Stage.REMOVE:
        return [*filters]
    made = list(_made(spec, snap))
    # pods are replaced by what is in Secrets: not before those are as they should be
    late = {"Deployment"} if made else set()
    wanted = [(kind, noted(body)) for kind, body in desired(spec, snap, decision) if kind not in late]
    return [
        *made,
        *(Apply(kind, body) for kind, body in wanted if differs(snap.objects, kind, body)),
        *_left_over(spec, snap, decision),
        *filters,
        *start(spec, before, snap, decision),
    ]


def desired(spec: ShadowEvaluationSpec, snap: Snapshot, decision: Decision) -> Iterator[tuple[str, Object]]:
    """Objects of the decision's stage but Secrets, in the order of their needs: migration before service."""
    for body in policies.network_policies(spec, snap):
        yield "NetworkPolicy", body
    if spec.database.managed is not None:
        storage = spec.database.managed.storage
        database = postgres.Postgres(snap.postgres_image, storage, objects.ROLE, "Delete")
        yield "Service", postgres.service(objects.owner(snap))
        yield "StatefulSet", postgres.stateful_set(objects.owner(snap), database)
    if decision.stage >= Stage.MIGRATE:
        yield "Job", objects.migration(spec, snap)
    if decision.stage >= Stage.SERVE:
        yield "ConfigMap", objects.config_map(spec, snap)
        yield "Service", objects.service(snap)
        yield "Deployment", objects.deployment(spec, snap)
        yield "CronJob", objects.cleanup(spec, snap)
    if _replays(spec, snap, decision):
        yield "Job", objects.replay(spec, snap)


def finished(snap: Snapshot) -> bool:
    """For a deletion: whether no HTTPRoute has the filter any more. All else goes by its owner."""
    return not any(routes.carries(route, objects.service_name(snap.name)) for route in snap.routes.values())


def _replays(spec: ShadowEvaluationSpec, snap: Snapshot, decision: Decision) -> bool:
    """From its start on; one that is over stays to be looked at, one that goes on after the end does not."""
    if spec.traffic.replay is None or not decision.run.started_at:
        return False
    return not decision.run.ended_at or snap.replay in {JobState.SUCCEEDED, JobState.FAILED}


def _made(spec: ShadowEvaluationSpec, snap: Snapshot) -> Iterator[Operation]:
    kinds = {objects.postgres_name(snap.name): Secret.PASSWORD, objects.token_name(snap.name): Secret.TOKEN}
    for name in objects.made_once(spec, snap.name):
        if name not in snap.secrets:
            yield MakeSecret(kinds[name], name)


def _left_over(spec: ShadowEvaluationSpec, snap: Snapshot, decision: Decision) -> Iterator[Operation]:
    """What an earlier spec or version needed; files only once no pod reads them any more."""
    if decision.stage is not Stage.SERVE:
        return
    wanted = {(kind, body["metadata"]["name"]) for kind, body in desired(spec, snap, decision)}
    kinds = {"Job", "ConfigMap"} if snap.service.current else {"Job"}
    for kind, name in snap.objects:
        if kind in kinds and (kind, name) not in wanted:
            yield Delete(kind, name)


def _filters(spec: ShadowEvaluationSpec, snap: Snapshot, decision: Decision) -> Iterator[Operation]:
    """The filter into the route that is named, and out of every other. A CanaryRollout's route is left to it."""
    mirror = spec.traffic.mirror
    named = adopted(mirror, snap) if mirror is not None else None
    for route in snap.routes.values():
        if route.rollout:
            continue
        if mirror is not None and named is route and decision.taking:
            patch = routes.adopt(route, wanted_filter(mirror, snap))
        else:
            patch = routes.release(route, objects.service_name(snap.name))
        if patch:
            yield PatchRoute(route.name, tuple(patch))
