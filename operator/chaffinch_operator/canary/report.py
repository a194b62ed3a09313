"""From the decided status to what people and tools read: phase, conditions, events, metric samples. Pure."""

import json
import math
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

from chaffinch_operator import conditions
from chaffinch_operator.canary import clock
from chaffinch_operator.canary.flow import Context, blocked
from chaffinch_operator.canary.forecast import deadline, too_slow
from chaffinch_operator.canary.reasons import IN_FLIGHT, STALLED, Action, Reason
from chaffinch_operator.canary.snapshot import Blocker
from chaffinch_operator.canary.status import AlertStatus, CanaryRolloutStatus, GateStatus
from chaffinch_operator.schema import Condition, compact

_PHASES = {
    Action.IDLE: "Idle",
    Action.WAIT: "Waiting",
    Action.START: "Initializing",
    Action.SHIFT: "Analyzing",
    Action.PAUSE: "Paused",
    Action.HOLD: "Holding",
    Action.PROMOTE: "Promoting",
    Action.ROLL_BACK: "RollingBack",
    Action.REJECTED: "RolledBack",
    Action.ABANDON: "Replacing",
    Action.RELEASE: "Releasing",
}
_MOVING = frozenset({Action.START, Action.SHIFT, Action.PROMOTE, Action.ROLL_BACK, Action.RELEASE, Action.ABANDON})
Told = TypeVar("Told", Condition, GateStatus, AlertStatus)
ON_TIME = "OnTime"
LIMIT_BYTES = 16_000
_MESSAGE, _SHORT_MESSAGE = 512, 100
"""Characters of a condition's message; lastDecision has all of it."""
_WARNINGS = frozenset({Action.ROLL_BACK, Action.REJECTED})
_ALERTS = frozenset({Reason.ALERT_FIRING, Reason.PAUSED_BY_ALERT})


@dataclass(frozen=True, slots=True)
class Happening:
    """An event to publish: one per decision, named by its reason."""

    type: Literal["Normal", "Warning"]
    reason: Reason
    action: Action
    note: str
    at: datetime
    expected: bool = False
    """It only follows from the decision before: counted, but no Event."""


@dataclass(frozen=True, slots=True)
class RolloutSample:
    """What metrics show of one rollout."""

    namespace: str
    name: str
    phase: str
    weight_percent: int
    step: int
    gates: tuple[tuple[str, float, float], ...]
    """Name, ln E of harm, ln E of safety."""


def report(c: Context) -> CanaryRolloutStatus:
    """The status as it is written: phase, conditions and generation filled in."""
    on_time = _on_time(c)
    found = [*_conditions(c), *on_time]
    old = [
        conditions.Condition(k.type, k.status, k.reason, k.message, k.observed_generation, k.last_transition_time)  # type: ignore[arg-type]
        for k in c.status.conditions
        if k.type != ON_TIME or on_time or _awaits_forecast(c)
    ]
    merged = conditions.merge(old, found, c.now)
    listed = [
        Condition(
            type=m.type,
            status=m.status,
            reason=m.reason,
            message=m.message,
            last_transition_time=m.last_transition_time,
            observed_generation=m.observed_generation,
        )
        for m in merged
    ]
    return fit(
        c.status.model_copy(update={"conditions": listed, "phase": _phase(c), "observed_generation": c.snap.generation})
    )


def fit(status: CanaryRolloutStatus) -> CanaryRolloutStatus:
    """Under 16 KiB: the oldest outcomes go first, then sentences are cut; never what the flow rests on.

    What goes from history is gone, and sentences are made anew in every pass: the same status is cut the same way.
    """
    while (too_large := size(status) > LIMIT_BYTES) and len(status.history) > 1:
        status = status.model_copy(update={"history": status.history[:-1]})
    if not too_large:
        return status
    last = status.last_decision
    return status.model_copy(
        update={
            "conditions": [_shortened(k) for k in status.conditions],
            "gates": [_shortened(g) for g in status.gates],
            "alerts": [_shortened(a) for a in status.alerts],
            "last_decision": last.model_copy(update={"message": conditions.cut(last.message, _MESSAGE)}),
        }
    )


def _shortened(told: Told) -> Told:
    return told.model_copy(update={"message": conditions.cut(told.message, _SHORT_MESSAGE)})


def size(status: CanaryRolloutStatus) -> int:
    """Bytes of the status as it is stored."""
    return len(json.dumps(compact(status), separators=(",", ":"), ensure_ascii=False).encode())


def invalid(status: CanaryRolloutStatus, generation: int, message: str, now: datetime) -> CanaryRolloutStatus:
    """The status of a spec that cannot be read: nothing is changed until it is edited."""
    trio = conditions.trio(
        ready=False, reconciling=False, stalled=True, reason=Reason.INVALID_SPEC, message=message, generation=generation
    )
    old = {k.type: k for k in status.conditions}
    kept = [k for k in status.conditions if k.type not in {n.type for n in trio}]
    fresh = [
        Condition(
            type=n.type,
            status=n.status,
            reason=n.reason,
            message=conditions.cut(n.message, _MESSAGE),
            observed_generation=n.observed_generation,
            last_transition_time=old[n.type].last_transition_time
            if n.type in old and old[n.type].status == n.status
            else conditions.rfc3339(now),
        )
        for n in trio
    ]
    return fit(
        status.model_copy(update={"conditions": [*fresh, *kept], "phase": "Invalid", "observed_generation": generation})
    )


def happening(before: CanaryRolloutStatus, after: CanaryRolloutStatus) -> Happening | None:
    """The event of this pass: a decision that was not there before."""
    old, new = before.last_decision, after.last_decision
    at = clock.parse(new.at)
    if (old.action, old.reason, old.at) == (new.action, new.reason, new.at) or at is None:
        return None
    warn = new.action in _WARNINGS or new.reason in STALLED | _ALERTS
    expected = new.reason is Reason.ANALYZING and new.previous_reason in {Reason.STEP_WEIGHT, ""}
    return Happening("Warning" if warn else "Normal", new.reason, new.action, new.message, at, expected)


def sample(c: Context) -> RolloutSample:
    """What metrics show."""
    gates = tuple((g.name, float(g.log_e_harm), float(g.log_e_safe)) for g in c.status.gates if g.log_e_harm)
    return RolloutSample(c.snap.namespace, c.snap.name, _phase(c), c.status.weight.applied, c.status.step.index, gates)


def _phase(c: Context) -> str:
    if c.spec.suspend and c.action in IN_FLIGHT:
        return "Suspended"
    return "Progressing" if c.reason is Reason.STEP_WEIGHT else _PHASES[c.action]


def _on_time(c: Context) -> list[conditions.NewCondition]:
    """The forecast against maxDuration, with the numbers; nothing where there is no forecast.

    Only an outlook: Ready, Reconciling and Stalled do not depend on it. What it says changes by whole minutes.
    """
    slow, ahead, over = too_slow(c.spec, c.status), c.status.forecast, deadline(c.spec, c.status)
    if slow is None or ahead is None or over is None or not _awaits_forecast(c):
        return []
    generation, limit = c.snap.generation, c.spec.promotion.max_duration
    if not slow:
        message = f"a candidate as good as stable will be decided within maxDuration {limit}"
        return [conditions.NewCondition(ON_TIME, "True", Reason.WITHIN_MAX_DURATION, message, generation)]
    until = f"until {ahead.decision_by}" if ahead.decision_by else "for more than a month"
    why = f"the steps last {until}"
    if ahead.gate:
        requests = _roughly(ahead.requests_needed)
        why = f"gate {ahead.gate} needs about {requests} more requests, at the present traffic {until}"
    message = (
        f"{why}, but maxDuration {limit} ends at {conditions.rfc3339(over)}; what would halve it: "
        f"kubectl chaffinch plan {c.snap.name}"
    )
    return [conditions.NewCondition(ON_TIME, "False", Reason.TOO_SLOW, message, generation)]


def _awaits_forecast(c: Context) -> bool:
    """Whether the outlook matters. Between two steps it is not known for an interval; what was said still stands."""
    return c.action in {Action.SHIFT, Action.PAUSE, Action.HOLD} and c.spec.promotion.require == "Evidence"


def _roughly(requests: int) -> str:
    """Two digits, so that the sentence does not change with every interval."""
    unit = 10 ** max(0, len(str(requests)) - 2)
    return f"{math.ceil(requests / unit) * unit:,}"


def _obstacle(c: Context) -> Blocker | None:
    """What stands in the way of a rollout under way, or of the next one."""
    found = blocked(c)
    return found if found is not None and found.reason in STALLED else None


def _conditions(c: Context) -> list[conditions.NewCondition]:
    generation, reason, message = c.snap.generation, c.reason, c.message
    may_stall = c.action in {Action.WAIT, Action.START, Action.REJECTED, Action.PROMOTE}
    stalled = reason in STALLED and (may_stall or reason is Reason.BASELINE_NOT_AVAILABLE)
    obstacle = _obstacle(c)
    if obstacle is not None and c.action is not Action.REJECTED:
        stalled, reason, message = True, obstacle.reason, obstacle.message
    waits = c.suspended and (c.action in IN_FLIGHT or (c.snap.target is not None and c.snap.target.paused))
    if waits and not stalled:
        reason, message = Reason.SUSPENDED, f"spec.suspend is true: nothing is changed; before: {c.message}"
    ready = c.action is Action.IDLE and not stalled and not waits
    trio = conditions.trio(
        ready=ready,
        reconciling=not ready and not stalled,
        stalled=stalled,
        reason=reason,
        message=conditions.cut(message or reason, _MESSAGE),
        generation=generation,
    )
    moving: conditions.Status = "False"
    if c.action in _MOVING:
        moving = "Unknown" if c.spec.suspend and c.action in IN_FLIGHT else "True"
    elif c.action in {Action.PAUSE, Action.HOLD}:
        moving = "Unknown"
    held: conditions.Status = "True" if c.snap.held else "False"
    hold_reason = Reason.HOLD_INSTALLED if c.snap.held else Reason.HOLD_NOT_INSTALLED
    return [
        *trio,
        conditions.NewCondition(
            "Progressing", moving, c.reason, conditions.cut(c.message or c.reason, _MESSAGE), generation
        ),
        conditions.NewCondition("HoldInstalled", held, hold_reason, c.snap.hold_message or hold_reason, generation),
    ]
