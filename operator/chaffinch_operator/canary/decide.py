"""What to do next: (spec, status, snapshot, gates, now) -> status with the decision in it. Pure.

The flow's state is `status.lastDecision.action`. One handler per action below; what happens while a canary is judged is
in `analysis`, what people may ask for in `requests`. The result is written to status before `plan` carries it out, so
a kill at any moment repeats the same steps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from chaffinch_operator.canary import alerts, calibration, clock, evidence, prerequisites, record, requests
from chaffinch_operator.canary.analysis import analyse
from chaffinch_operator.canary.flow import (
    Context,
    baseline_unready,
    blocked,
    canary_ready,
    drained_at,
    isolation,
    observe_weight,
    rival,
    torn_down,
    unready,
)
from chaffinch_operator.canary.gates import ResolvedGate
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason
from chaffinch_operator.canary.snapshot import Canary, Snapshot, Target
from chaffinch_operator.canary.status import CanaryRolloutStatus, Revision, StepStatus


@dataclass(frozen=True, slots=True)
class _Rest:
    """Why a held template may be released without a canary."""

    reason: Reason
    message: str


_NO_STABLE = _Rest(Reason.NO_STABLE, "no revision is running, so there is none to protect")
_NO_REPLICAS = _Rest(Reason.SCALED_TO_ZERO, "the target has no replicas, so no user can be hurt")


def decide(
    spec: CanaryRolloutSpec, status: CanaryRolloutStatus, snap: Snapshot, gates: Sequence[ResolvedGate], now: datetime
) -> CanaryRolloutStatus:
    """The next status; equal to `status` when there is nothing new."""
    context = Context(spec, observe_weight(spec, status, snap), snap, tuple(gates), now)
    decided = replace(context, status=record.followed(_next(context), status.last_decision))
    return decided.status.model_copy(update={"isolated_hash": isolation(decided), "drained_at": drained_at(decided)})


def _next(c: Context) -> CanaryRolloutStatus:
    if c.snap.deleting:
        return record.decided(c.status, c.now, Action.ABANDON, Reason.DELETED, record.deleted(c), weight=0)
    c = requests.answer(c)
    if c.suspended:
        return c.status
    if c.action in IN_FLIGHT:
        if ended := _mid_flight(c) or alerts.act(c):
            return ended
        c = replace(c, status=_calibrated(c))
    return _HANDLERS[c.action](c)


def _calibrated(c: Context) -> CanaryRolloutStatus:
    """What was found in the past of stable is written before the first look, and then stays."""
    if not c.snap.calibrations:
        return c.status
    gates = calibration.record(c.gates, c.status.gates, c.snap.calibrations)
    return c.status.model_copy(update={"gates": list(gates)})


# at rest


def _at_rest(c: Context) -> CanaryRolloutStatus:
    """No canary: find out what the target's template is, and whether it needs one."""
    target = c.snap.target
    if older := rival(c):
        return record.wait(c, older)
    if target is None:
        return record.wait(c, blocked(c) or record.no_target(c))
    if not target.paused:
        return _unpaused(c, target)
    stable = _stable_of(c, target)
    if stable is None:
        return _release(c, target, _NO_REPLICAS if target.replicas == 0 else _NO_STABLE)
    c = replace(c, status=c.status.model_copy(update={"stable": stable}))
    if rest := _needs_no_canary(c, target, stable):
        return _release(c, target, rest)
    return _held(c, target)


def _unpaused(c: Context, target: Target) -> CanaryRolloutStatus:
    if not target.settled and not _at_strength(c, target):
        status = c.status
        if status.stable is None and target.running:
            status = status.model_copy(update={"stable": target.running.revision})
        message = target.stuck or f"Deployment {target.name} is in a rollout of its own; it is left to finish first"
        return record.decided(status, c.now, Action.WAIT, Reason.TARGET_PROGRESSING, message)
    status = record.settle(c.status, target)
    if blocker := blocked(c):
        return record.wait(replace(c, status=status), blocker)
    known = c.action is Action.IDLE and c.status.stable is not None and c.status.stable.digest == target.revision.digest
    message = c.message if known else f"stable {record.describe(status.stable)} serves all requests"
    return record.decided(status, c.now, Action.IDLE, Reason.PROMOTED, message)


def _at_strength(c: Context, target: Target) -> bool:
    """Only the number of pods is changing: an autoscaler at work, or a lost pod, is no rollout of the target's own."""
    digest = target.revision.digest
    others = any(r.pods > 0 for r in target.replica_sets if r.revision.digest != digest)
    return c.status.promoted_revisions[:1] == [digest] and not others


def _stable_of(c: Context, target: Target) -> Revision | None:
    """The revision that holds the target's pods; the one remembered, while it still has some."""
    running = {r.revision.digest: r.revision for r in target.replica_sets if r.pods > 0 or r.desired > 0}
    known = c.status.stable.digest if c.status.stable else ""
    if known in running:
        return running[known]
    return target.running.revision if target.running else next(iter(running.values()), None)


def _needs_no_canary(c: Context, target: Target, stable: Revision) -> _Rest | None:
    digest = target.revision.digest
    if digest == stable.digest:
        return _Rest(Reason.REVERTED, "the template is stable's again")
    if target.replicas == 0:
        return _NO_REPLICAS
    if record.known(c, digest):
        return _Rest(
            Reason.KNOWN_REVISION,
            f"{record.describe(target.revision)} was promoted before and lies within "
            "the rollback window: released at once, without a canary",
        )
    return None


def _release(c: Context, target: Target, rest: _Rest) -> CanaryRolloutStatus:
    status = record.candidate(c.status, target.revision, c.now)
    return record.decided(status, c.now, Action.RELEASE, rest.reason, rest.message, weight=0)


def _held(c: Context, target: Target) -> CanaryRolloutStatus:
    """A template that needs a canary: start it, or say why not."""
    digest = target.revision.digest
    if c.asked("promote-force"):
        return _release(c, target, _Rest(Reason.PROMOTED_BY_USER, "promoted by force, without a canary"))
    if c.asked("retry"):
        rejected = [d for d in c.status.rejected_revisions if d != digest]
        c = replace(c, status=c.status.model_copy(update={"rejected_revisions": rejected}))
    if digest in c.status.rejected_revisions:
        return _stays_rejected(c, target)
    if target.mixed:
        return _held_while_rolling(c, target)
    if not torn_down(c):
        return record.end(c, Action.ABANDON, Reason.SUPERSEDED, "what is left of an earlier canary is removed first")
    if blocker := blocked(c) or prerequisites.unmet(c.spec, c.snap, target, c.now) or c.snap.provider_problem:
        return record.wait(replace(c, status=record.candidate(c.status, target.revision, c.now)), blocker)
    status = record.fresh_start(c.status, target, c.spec.canary.baseline, c.now)
    return record.decided(
        status, c.now, Action.START, Reason.INITIALIZING, record.initializing(target.revision), weight=0
    )


def _held_while_rolling(c: Context, target: Target) -> CanaryRolloutStatus:
    """Two revisions have pods already. What was being released when another template came goes on once it is back."""
    candidate = c.status.candidate
    waits = c.action is Action.WAIT and c.reason is Reason.PROMOTION_INTERRUPTED
    if waits and candidate is not None and candidate.digest == target.revision.digest:
        back = f"{record.describe(target.revision)} is back: its release goes on"
        return _release(c, target, _Rest(Reason.PROMOTED_BY_USER, back))
    return record.decided(c.status, c.now, Action.WAIT, Reason.PROMOTION_INTERRUPTED, record.interrupted(c, target))


def _stays_rejected(c: Context, target: Target) -> CanaryRolloutStatus:
    candidate = c.status.candidate
    if c.action is Action.REJECTED and candidate is not None and candidate.digest == target.revision.digest:
        return c.status
    status = record.candidate(c.status, target.revision, c.now)
    return record.decided(status, c.now, Action.REJECTED, Reason.ROLLED_BACK, record.rejected(c, target.revision))


def _releasing(c: Context) -> CanaryRolloutStatus:
    """Wait until the released template runs everywhere."""
    target = c.snap.target
    if target is None or c.status.candidate is None or target.revision.digest != c.status.candidate.digest:
        return _at_rest(c) if torn_down(c) else record.end(c, Action.ABANDON, Reason.SUPERSEDED, record.overtaken(c))
    if target.paused or not torn_down(c):
        return c.status
    if not target.settled:
        return record.annotate(c.status, target.stuck) if target.stuck else c.status
    result = "Reverted" if c.reason is Reason.REVERTED else "Released"
    status = c.status if c.reason is Reason.REVERTED else record.history(c.status, result, c.now)
    return record.decided(
        record.settle(status, target),
        c.now,
        Action.IDLE,
        Reason.PROMOTED,
        f"stable {record.describe(target.revision)} serves all requests; {c.message}",
    )


# with a canary


def _mid_flight(c: Context) -> CanaryRolloutStatus | None:
    """What ends a canary whatever its gates say; None to go on."""
    target, candidate = c.snap.target, c.status.candidate
    if target is None:
        return record.end(c, Action.ABANDON, Reason.TARGET_NOT_FOUND, record.no_target(c).message)
    digest = target.revision.digest
    if candidate is None or digest != candidate.digest:
        return _other_template(c, target)
    if not target.paused:
        return record.end(
            c,
            Action.PROMOTE,
            Reason.PROMOTED_BY_USER,
            f"Deployment {target.name} was un-paused from outside: the candidate rolls out",
        )
    if c.asked("abort"):
        return record.end(c, Action.ROLL_BACK, Reason.ABORTED, "aborted by a person")
    if c.asked("promote-force"):
        return record.promote(c, Reason.PROMOTED_BY_USER, "promoted by force, whatever the gates say")
    return None


def _other_template(c: Context, target: Target) -> CanaryRolloutStatus:
    """The template changed under the canary: back to stable's, to a known one, or to a third."""
    stable = c.status.stable
    rest = _needs_no_canary(c, target, stable) if stable else None
    if rest is None:
        status = record.history(c.status, "Superseded", c.now, Reason.SUPERSEDED)
        return record.end(replace(c, status=status), Action.ABANDON, Reason.SUPERSEDED, record.overtaken(c))
    status = record.history(c.status, "Reverted", c.now, rest.reason)
    return _release(replace(c, status=status), target, rest)


def _starting(c: Context) -> CanaryRolloutStatus:
    """Wait until the canary is available and, with a route, isolated and known to the gateway."""
    if problem := blocked(c):
        return record.decided(c.status, c.now, Action.START, problem.reason, problem.message)
    if unready(c) and _start_is_late(c, c.snap.canary):
        return record.end(c, Action.ROLL_BACK, Reason.DEADLINE_EXCEEDED, record.deadline(c))
    if baseline_unready(c) and _start_is_late(c, c.snap.baseline or c.snap.canary):
        message = record.baseline_deadline(c)
        return record.decided(c.status, c.now, Action.START, Reason.BASELINE_NOT_AVAILABLE, message)
    if problem := c.snap.provider_problem:
        return record.decided(c.status, c.now, Action.START, problem.reason, problem.message)
    if not canary_ready(c):
        return record.decided(
            c.status, c.now, Action.START, Reason.INITIALIZING, record.initializing(c.status.candidate)
        )
    return record.enter_step(c, 0)


def _start_is_late(c: Context, copy: Canary | None) -> bool:
    """The canary, or the baseline, had its time. It runs from when it exists: an operator that was away took none."""
    if copy is None:
        return False
    since = max(filter(None, (clock.parse(c.status.candidate_since), copy.created_at)), default=c.now)
    return (c.now - since).total_seconds() >= c.spec.progress_deadline_seconds


def _promoting(c: Context) -> CanaryRolloutStatus:
    """The target rolls; then the weight goes to stable; then the canary goes."""
    target, candidate = c.snap.target, c.status.candidate
    if target is None or candidate is None:
        return record.end(c, Action.ABANDON, Reason.TARGET_NOT_FOUND, record.no_target(c).message)
    if target.revision.digest != candidate.digest:
        return _promotion_overtaken(c, target, candidate)
    if target.stuck and not target.paused and not target.settled:
        return record.promote(c, Reason.PROMOTION_STUCK, record.stuck(c, target))
    if c.reason in {Reason.PROMOTION_INTERRUPTED, Reason.PROMOTION_STUCK}:
        proven = Reason.GATES_PASSED if evidence.proven(c.status.gates) else Reason.PROMOTED_BY_USER
        return record.promote(c, proven, f"{record.describe(candidate)}: the promotion goes on")
    if target.paused or not target.settled:
        return c.status
    if c.status.weight.desired > 0:
        return c.status.model_copy(update={"weight": c.status.weight.model_copy(update={"desired": 0})})
    if not torn_down(c):
        return c.status
    status = record.settle(record.history(c.status, "Promoted", c.now), target)
    return record.decided(
        status, c.now, Action.IDLE, Reason.PROMOTED, f"{record.describe(candidate)} is promoted: {c.message}"
    )


def _promotion_overtaken(c: Context, target: Target, candidate: Revision) -> CanaryRolloutStatus:
    """Another template came: before, while or after the target rolled to the candidate."""
    running = target.running
    if running is not None and not target.mixed and running.revision.digest == candidate.digest:
        c = replace(c, status=record.promoted(record.history(c.status, "Promoted", c.now), running.revision))
    if rest := _needs_no_canary(c, target, c.status.stable) if c.status.stable else None:
        return _release(c, target, rest)
    if c.asked("promote-force"):
        return _release(c, target, _Rest(Reason.PROMOTED_BY_USER, "promoted by force, without a canary"))
    if not target.mixed:
        return record.end(c, Action.ABANDON, Reason.SUPERSEDED, record.overtaken(c))
    return record.decided(c.status, c.now, Action.PROMOTE, Reason.PROMOTION_INTERRUPTED, record.interrupted(c, target))


def _rolling_back(c: Context) -> CanaryRolloutStatus:
    """Weight zero, then the canary goes after its delay, then the candidate counts as rejected."""
    if not torn_down(c):
        return c.status
    status = record.history(c.status, "RolledBack", c.now)
    if c.status.candidate:
        rejected = [c.status.candidate.digest, *status.rejected_revisions]
        status = status.model_copy(update={"rejected_revisions": list(dict.fromkeys(rejected))[:10]})
    status = status.model_copy(update={"step": StepStatus()})
    return record.decided(status, c.now, Action.REJECTED, Reason.ROLLED_BACK, f"rolled back: {c.message}")


def _abandoning(c: Context) -> CanaryRolloutStatus:
    """Wait until nothing of the old canary is left, then look again."""
    return _at_rest(c) if torn_down(c) else c.status


_HANDLERS: dict[Action, Callable[[Context], CanaryRolloutStatus]] = {
    Action.IDLE: _at_rest,
    Action.WAIT: _at_rest,
    Action.REJECTED: _at_rest,
    Action.RELEASE: _releasing,
    Action.START: _starting,
    Action.SHIFT: analyse,
    Action.PAUSE: analyse,
    Action.HOLD: analyse,
    Action.PROMOTE: _promoting,
    Action.ROLL_BACK: _rolling_back,
    Action.ABANDON: _abandoning,
}
