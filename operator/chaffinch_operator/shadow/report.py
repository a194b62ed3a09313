"""What users are told: (spec, status before, snapshot, decision, now) -> status, and the Event of a change. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from chaffinch_operator import conditions
from chaffinch_operator.children.seen import JobState
from chaffinch_operator.children.workload import Workload
from chaffinch_operator.conditions import NewCondition, rfc3339
from chaffinch_operator.schema import merged
from chaffinch_operator.shadow import canary, objects, routes, said
from chaffinch_operator.shadow.decide import DAMAGED, Decision, Stage, adopted, wanted_filter, why
from chaffinch_operator.shadow.model import ShadowEvaluationSpec
from chaffinch_operator.shadow.reasons import AT_REST, STALLED, Reason
from chaffinch_operator.shadow.snapshot import Snapshot
from chaffinch_operator.shadow.status import (
    CanaryStatus,
    DecisionStatus,
    MirrorStatus,
    ReasonStatus,
    ShadowEvaluationStatus,
    ShardsStatus,
    VersionStatus,
)

_MESSAGE = 512
_IMAGES = 16


@dataclass(frozen=True, slots=True)
class Happening:
    """What is worth an Event."""

    type: Literal["Normal", "Warning"]
    reason: str
    note: str
    at: datetime


def report(
    spec: ShadowEvaluationSpec, before: ShadowEvaluationStatus, snap: Snapshot, decision: Decision, now: datetime
) -> ShadowEvaluationStatus:
    """The status after a look."""
    if decision.stage is Stage.NOTHING or snap.deleting:
        return told(before, decision, snap.generation, now, list(_conditions(spec, before, snap, decision)))
    status = _counts(spec, _of_this_run(before, decision), snap, decision)
    status = status.model_copy(update=_facts(spec, before, snap, decision, now))
    return told(status, decision, snap.generation, now, list(_conditions(spec, status, snap, decision)))


def told(
    before: ShadowEvaluationStatus,
    decision: Decision,
    generation: int,
    now: datetime,
    parts: list[NewCondition] | None = None,
) -> ShadowEvaluationStatus:
    """The status before, with what was decided now."""
    message = conditions.cut(decision.message, _MESSAGE)
    stalled, ready = decision.reason in STALLED, decision.reason in AT_REST
    trio = conditions.trio(
        ready=ready,
        reconciling=not ready and not stalled,
        stalled=stalled,
        reason=decision.reason,
        message=message,
        generation=generation,
    )
    same = before.last_decision.reason == decision.reason
    at = before.last_decision.at if same else rfc3339(now)
    return before.model_copy(
        update={
            "observed_generation": generation,
            "phase": str(decision.reason),
            "run": decision.run,
            "last_decision": DecisionStatus(reason=decision.reason, message=message, at=at),
            "conditions": merged(before.conditions, [*trio, *(parts or ())], now),
        }
    )


def happening(before: ShadowEvaluationStatus, after: ShadowEvaluationStatus) -> Happening | None:
    """The event of this pass: a reason that was not there before."""
    if before.last_decision.reason == after.last_decision.reason:
        return None
    return recent(after)


def recent(status: ShadowEvaluationStatus) -> Happening | None:
    """The last event, for a process that does not know whether its predecessor wrote it."""
    last = status.last_decision
    at = conditions.parsed(last.at)
    if at is None:
        return None
    warn = last.reason in set(STALLED) or (last.reason == Reason.CONCLUDED and status.verdict == "Reject")
    return Happening("Warning" if warn else "Normal", last.reason, last.message, at)


def _of_this_run(before: ShadowEvaluationStatus, decision: Decision) -> ShadowEvaluationStatus:
    """Counts of an earlier generation say nothing about this one."""
    if before.run.generation == decision.run.generation:
        return before
    kept = {"conditions": before.conditions, "last_decision": before.last_decision, "mirror": before.mirror}
    return ShadowEvaluationStatus(**kept)


def _counts(
    spec: ShadowEvaluationSpec, status: ShadowEvaluationStatus, snap: Snapshot, decision: Decision
) -> ShadowEvaluationStatus:
    """What the service says; after the end, what it said then."""
    if snap.said is None or (decision.run.concluded_at and not decision.verdict):
        return status
    final = bool(decision.verdict) or spec.hypothesis.design == "AlwaysValid"
    status = said.told(status, snap.said, final=final)
    if not decision.verdict:
        return status
    own = [ReasonStatus(reason=decision.run.cause, message=why(decision.run))] if decision.run.cause in DAMAGED else []
    return status.model_copy(update={"verdict": decision.verdict, "reasons": [*own, *status.reasons][:12]})


def _facts(
    spec: ShadowEvaluationSpec, before: ShadowEvaluationStatus, snap: Snapshot, decision: Decision, now: datetime
) -> dict[str, Any]:
    found: dict[str, Any] = {
        "endpoint": objects.endpoint(snap.namespace, snap.name),
        "mirror": _mirror(spec, before, snap, decision),
    }
    if spec.traffic.replay is not None:
        found["shards"] = ShardsStatus(total=spec.shards, done=snap.shards_done)
    if not before.run.started_at or before.run.generation != decision.run.generation:
        found["control"] = _version(snap.workloads.get(spec.control.service_ref.name))
        found["candidate"] = _version(snap.workloads.get(spec.candidate.service_ref.name))
    ref = spec.actions.canary_rollout_ref
    if ref is not None and canary.asked(spec, before, decision):
        on_its_way = canary.waits_for(before, snap, ref.name) or (snap.rollout is not None and snap.rollout.suspended)
        started = "" if on_its_way else rfc3339(now)
        found["canary"] = CanaryStatus(rollout=ref.name, started_at=started)
    return found


def _mirror(
    spec: ShadowEvaluationSpec, before: ShadowEvaluationStatus, snap: Snapshot, decision: Decision
) -> MirrorStatus | None:
    mirror, service = spec.traffic.mirror, objects.service_name(snap.name)
    known = before.mirror.adopted if before.mirror is not None else []
    left = {name for name in known if name in snap.routes and routes.carries(snap.routes[name], service)}
    if mirror is None:
        return MirrorStatus(service=service, adopted=sorted(left)) if left else None
    route = adopted(mirror, snap)
    writer = ""
    if route is not None:
        writer = f"CanaryRollout/{route.rollout}" if route.rollout else f"ShadowEvaluation/{snap.name}"
        left |= {route.name} if decision.taking and not route.rollout else set()
    return MirrorStatus(
        service=service,
        port=objects.SERVICE_PORT,
        route=mirror.http_route_ref.name if mirror.http_route_ref is not None else "",
        writer=writer,
        active=decision.taking,
        adopted=sorted(left),
    )


def _version(found: Workload | None) -> VersionStatus:
    if found is None:
        return VersionStatus()
    return VersionStatus(deployment=found.deployment, images=list(found.images[:_IMAGES]), digest=found.digest)


def _conditions(
    spec: ShadowEvaluationSpec, status: ShadowEvaluationStatus, snap: Snapshot, decision: Decision
) -> Iterator[NewCondition]:
    if decision.stage < Stage.DATABASE:
        return  # nothing was found out
    migrated = snap.migration is JobState.SUCCEEDED
    reached = snap.database.ready > 0 if spec.database.managed is not None else migrated
    yield _condition(snap, "DatabaseReady", reached, Reason.DATABASE_READY, Reason.DATABASE_STARTING)
    yield _condition(snap, "SchemaCurrent", migrated, Reason.SCHEMA_CURRENT, Reason.MIGRATING)
    if decision.run.started_at and not (decision.run.concluded_at and not decision.verdict):
        why_not = snap.silence or "the service was not asked yet"
        yield _condition(
            snap, "Analysis", snap.said is not None, Reason.ANALYSIS_AVAILABLE, Reason.ANALYSIS_UNAVAILABLE, why_not
        )
    yield _over(snap, status, decision)
    mirror = spec.traffic.mirror
    route = adopted(mirror, snap) if mirror is not None else None
    if mirror is not None and route is not None:
        there = routes.mirrored(route, wanted_filter(mirror, snap))
        yield _condition(snap, "Mirror", there, Reason.MIRROR_ACTIVE, Reason.MIRROR_ABSENT)
    if spec.actions.canary_rollout_ref is not None and status.canary is not None:
        waiting = canary.waits_for(status, snap, status.canary.rollout)
        started = bool(status.canary.started_at)
        yield _condition(snap, "CanaryStarted", started, Reason.CANARY_STARTED, Reason.CANARY_WAITING, waiting)


def _over(snap: Snapshot, status: ShadowEvaluationStatus, decision: Decision) -> NewCondition:
    over = bool(decision.run.concluded_at)
    reason = (status.verdict or str(Reason.CONCLUDED)) if over else str(Reason.COLLECTING)
    message = decision.message if over else "no verdict is final yet"
    return NewCondition("Concluded", "True" if over else "False", reason, message, snap.generation)


def _condition(snap: Snapshot, name: str, holds: bool, yes: Reason, no: Reason, why_not: str = "") -> NewCondition:
    reason = yes if holds else no
    message = str(reason) if holds else conditions.cut(why_not, _MESSAGE) or str(reason)
    return NewCondition(name, "True" if holds else "False", reason, message, snap.generation)
