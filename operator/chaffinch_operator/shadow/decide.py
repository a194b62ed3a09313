"""What to do for an evaluation: (spec, status before, snapshot, now) -> Decision. Pure and total."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import IntEnum

from chaffinch_operator.children import mirroring
from chaffinch_operator.children.mirroring import mirror_filter
from chaffinch_operator.children.seen import JobState
from chaffinch_operator.conditions import parsed, rfc3339
from chaffinch_operator.schema import seconds
from chaffinch_operator.shadow import objects, problems, routes
from chaffinch_operator.shadow.model import Mirror, ShadowEvaluationSpec
from chaffinch_operator.shadow.reasons import Reason
from chaffinch_operator.shadow.routes import Body
from chaffinch_operator.shadow.snapshot import Route, Snapshot
from chaffinch_operator.shadow.status import RunStatus, ShadowEvaluationStatus

DRAIN_SECONDS = 6.0
"""From the last copy until it is counted: longer than the service waits for an answer."""
DECIDING = frozenset({"Promote", "Reject"})
INCONCLUSIVE = "Inconclusive"
_WORDS = {
    Reason.DEADLINE: "activeDeadline is over",
    Reason.REPLAY_COMPLETE: "every recorded request was sent",
    Reason.REPLAY_FAILED: "a shard of the replay failed too often, and what is missing may be what matters",
    Reason.VERDICT_REACHED: "the evidence is enough",
    Reason.VERSION_CHANGED: "control or candidate was changed meanwhile, so the counts are of no one version",
}
DAMAGED = frozenset({Reason.REPLAY_FAILED, Reason.VERSION_CHANGED})
"""Ends after which no count can decide."""


NO_RUN = RunStatus()


class Stage(IntEnum):
    """How far an evaluation may be built. Each stage includes those before it."""

    REMOVE = -1
    """It is being deleted."""
    NOTHING = 0
    """A person must act first; what runs keeps running."""
    DATABASE = 1
    """Secrets, network policies and the database."""
    MIGRATE = 2
    """The migration of the wanted version."""
    SERVE = 3
    """The service of the present spec."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do and why."""

    stage: Stage
    reason: Reason
    message: str
    run: RunStatus = NO_RUN
    """The evaluation of this generation as it is from now on."""
    verdict: str = ""
    """The final one, in the pass that concludes."""

    @property
    def taking(self) -> bool:
        """Whether requests are to be taken. A service that restarts meanwhile changes nothing about it."""
        return self.stage is not Stage.REMOVE and bool(self.run.started_at) and not self.run.ended_at


def decide(spec: ShadowEvaluationSpec, before: ShadowEvaluationStatus, snap: Snapshot, now: datetime) -> Decision:
    """The furthest stage that is safe: nothing is copied before the service of this very spec is ready."""
    run = before.run if before.run.generation == snap.generation else RunStatus(generation=snap.generation)
    if snap.deleting:
        return Decision(Stage.REMOVE, Reason.DELETED, _deleted(snap), run)
    problem = problems.first(spec, snap)
    if problem is not None:
        return Decision(Stage.NOTHING, problem.reason, problem.message, run)
    found = _progress(spec, snap, run)
    if found.reason is not Reason.COLLECTING:
        return found
    if run.concluded_at:
        return replace(found, reason=Reason.CONCLUDED, message=f"{before.verdict}: {why(run)}")
    if run.ended_at:
        return _finishing(found, snap, now)
    return _collecting(spec, before, found, snap, now)


def pending(decision: Decision) -> Decision:
    """The decision while writes are outstanding: what runs is not yet what is wanted."""
    if decision.reason is not Reason.COLLECTING:
        return decision
    return replace(decision, reason=Reason.ROLLING_OUT, message="changes are being applied")


def refused(decision: Decision, message: str) -> Decision:
    """The decision when the API server refused to have it carried out."""
    return replace(decision, reason=Reason.REFUSED, message=message)


def unreadable(message: str, run: RunStatus) -> Decision:
    """The decision for a spec that cannot be read."""
    return Decision(Stage.NOTHING, Reason.INVALID_SPEC, message, run)


def why(run: RunStatus) -> str:
    """Why an evaluation ended, in words."""
    return next((words for cause, words in _WORDS.items() if cause == run.cause), run.cause)


def adopted(mirror: Mirror, snap: Snapshot) -> Route | None:
    """The HTTPRoute that the spec names."""
    return snap.routes.get(mirror.http_route_ref.name) if mirror.http_route_ref is not None else None


def wanted_filter(mirror: Mirror, snap: Snapshot) -> Body:
    """The filter of an evaluation."""
    service = objects.service_name(snap.name)
    return mirror_filter(mirroring.Mirror(service, objects.SERVICE_PORT, mirror.percent or 100))


def _progress(spec: ShadowEvaluationSpec, snap: Snapshot, run: RunStatus) -> Decision:
    migrated = snap.migration is JobState.SUCCEEDED
    if spec.database.managed is not None and snap.database.ready == 0:
        message = f"PostgreSQL {objects.postgres_name(snap.name)} is not ready"
        return Decision(Stage.SERVE if migrated else Stage.DATABASE, Reason.DATABASE_STARTING, message, run)
    if not migrated:
        message = f"the schema is being brought to the version of {snap.image}"
        return Decision(Stage.MIGRATE, Reason.MIGRATING, message, run)
    if snap.service.stuck:
        see = f"kubectl logs -n {snap.namespace} deployment/{objects.deployment_name(snap.name)}"
        message = f"the pod of the service does not become ready ({snap.service.stuck}): see {see}"
        return Decision(Stage.SERVE, Reason.ROLLOUT_STUCK, message, run)
    if not snap.service.current or snap.service.ready == 0:
        return Decision(Stage.SERVE, Reason.ROLLING_OUT, "the service is being started", run)
    return Decision(Stage.SERVE, Reason.COLLECTING, "", run)


def _collecting(
    spec: ShadowEvaluationSpec, before: ShadowEvaluationStatus, found: Decision, snap: Snapshot, now: datetime
) -> Decision:
    if not found.run.started_at:
        found = replace(found, run=found.run.model_copy(update={"started_at": rfc3339(now)}))
    cause = _end(spec, before, snap, found.run, now)
    if cause is Reason.VERDICT_REACHED and snap.said is not None:
        return _concluded(found, str(snap.said["verdict"]), cause, now)
    if cause is not None:
        run = found.run.model_copy(update={"ended_at": rfc3339(now), "cause": cause})
        return replace(found, reason=Reason.FINISHING, message=_last(run), run=run)
    mirror = spec.traffic.mirror
    route = adopted(mirror, snap) if mirror is not None else None
    if mirror is None or route is None or not route.rollout or routes.mirrored(route, wanted_filter(mirror, snap)):
        return replace(found, message=_counting(spec, before, snap))
    message = f"CanaryRollout {route.rollout} has not put the filter into HTTPRoute {route.name} yet"
    return replace(found, reason=Reason.MIRROR_PENDING, message=message)


def _finishing(found: Decision, snap: Snapshot, now: datetime) -> Decision:
    """Once the filter is gone and the last copies are counted, the last look is the verdict."""
    run = found.run
    ended = parsed(run.ended_at)
    drained = ended is not None and (now - ended).total_seconds() >= DRAIN_SECONDS
    for route in snap.routes.values():
        if routes.carries(route, objects.service_name(snap.name)):
            return replace(found, reason=Reason.FINISHING, message=f"HTTPRoute {route.name} still has the filter")
    if not drained or snap.said is None:
        message = f"{_last(run)}; {snap.silence}" if drained and snap.silence else _last(run)
        return replace(found, reason=Reason.FINISHING, message=message)
    verdict = INCONCLUSIVE if run.cause in DAMAGED else str(snap.said["verdict"])
    return _concluded(found, verdict, Reason(run.cause), now)


def _concluded(found: Decision, verdict: str, cause: Reason, now: datetime) -> Decision:
    at = rfc3339(now)
    ended = {"ended_at": found.run.ended_at or at, "cause": cause, "concluded_at": at}
    run = found.run.model_copy(update=ended)
    return replace(found, reason=Reason.CONCLUDED, message=f"{verdict}: {why(run)}", run=run, verdict=verdict)


def _end(
    spec: ShadowEvaluationSpec, before: ShadowEvaluationStatus, snap: Snapshot, run: RunStatus, now: datetime
) -> Reason | None:
    """Why it is over now; None while it goes on."""
    if _version_changed(spec, before, snap):
        return Reason.VERSION_CHANGED
    if spec.traffic.replay is not None:
        over = {JobState.SUCCEEDED: Reason.REPLAY_COMPLETE, JobState.FAILED: Reason.REPLAY_FAILED}
        return over.get(snap.replay) or _too_late(spec, run, now)
    if spec.hypothesis.design == "AlwaysValid" and snap.said is not None and snap.said["verdict"] in DECIDING:
        return Reason.VERDICT_REACHED
    return _too_late(spec, run, now)


def _too_late(spec: ShadowEvaluationSpec, run: RunStatus, now: datetime) -> Reason | None:
    began = parsed(run.started_at)
    over = began is not None and now >= began + timedelta(seconds=seconds(spec.active_deadline))
    return Reason.DEADLINE if over else None


def _version_changed(spec: ShadowEvaluationSpec, before: ShadowEvaluationStatus, snap: Snapshot) -> bool:
    """Whether a version is not what it was when the evaluation began."""
    if before.run.generation != snap.generation or not before.run.started_at:
        return False
    for version, known in ((spec.control, before.control), (spec.candidate, before.candidate)):
        found = snap.workloads.get(version.service_ref.name)
        if found is not None and found.digest and known.digest and found.digest != known.digest:
            return True
    return False


def _counting(spec: ShadowEvaluationSpec, before: ShadowEvaluationStatus, snap: Snapshot) -> str:
    if spec.traffic.replay is not None:
        return f"{snap.shards_done} of {spec.shards} shards are replayed"
    lost = f"; {before.discordant.lost:,} detections are lost" if before.discordant.lost else ""
    return f"copies of requests are compared{lost}"


def _last(run: RunStatus) -> str:
    return f"the last requests are being counted: {why(run)}"


def _deleted(snap: Snapshot) -> str:
    left = [route.name for route in snap.routes.values() if routes.carries(route, objects.service_name(snap.name))]
    return f"being deleted: the filter is taken out of HTTPRoute {', '.join(left)}" if left else "being deleted"
