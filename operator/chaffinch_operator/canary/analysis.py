"""While a canary is judged: confirm the weight, fold closed intervals, then fail, go on, wait or promote. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from chaffinch_operator.canary import clock, evidence, record
from chaffinch_operator.canary.evidence import Thresholds
from chaffinch_operator.canary.flow import Context, weight_confirmed
from chaffinch_operator.canary.forecast import forecast
from chaffinch_operator.canary.gates import Kind
from chaffinch_operator.canary.model import seconds
from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.canary.snapshot import IntervalReading
from chaffinch_operator.canary.status import CanaryRolloutStatus, StepStatus

_DEFAULT_MIN_DURATION = "2m"


def analyse(c: Context) -> CanaryRolloutStatus:
    """One pass at a weight."""
    c = replace(c, status=_confirm(c))
    c = replace(c, status=_fold(c))
    if bad := evidence.failed(c.status.gates):
        return record.end(c, Action.ROLL_BACK, Reason.GATE_FAILED, f"gate {bad.message}")
    if late := _too_late(c):
        return late
    if c.snap.provider_problem and c.action is not Action.PAUSE:
        return record.decided(
            c.status,
            c.now,
            c.action,
            Reason.PROVIDER_UNREACHABLE,
            f"weight {c.status.weight.desired} % is kept: {c.snap.provider_problem.message}",
        )
    if c.asked("pause"):
        return record.decided(
            c.status,
            c.now,
            Action.PAUSE,
            Reason.PAUSED_BY_USER,
            f"paused by a person at weight {c.status.weight.desired} %; kubectl chaffinch resume {c.snap.name}",
        )
    return {Action.SHIFT: _shifting, Action.PAUSE: _pausing, Action.HOLD: _finish}[c.action](c)


def _confirm(c: Context) -> CanaryRolloutStatus:
    """The decided weight was read back: the step's clock starts; intervals around the change are not judged."""
    if not weight_confirmed(c) or c.status.weight.desired == 0:
        return c.status
    since = (c.snap.route.weight_since if c.snap.route else None) or (
        c.snap.canary.weight_since if c.snap.canary else None
    )
    at = since or c.now
    stamp = clock.stamp(at)
    step, weight = c.status.step, c.status.weight
    update: dict[str, object] = {}
    if weight.since != stamp:
        update["weight"] = weight.model_copy(update={"since": stamp})
    if not step.started_at:
        update["step"] = step.model_copy(update={"started_at": stamp})
    if not c.status.analysis_started_at:
        warm = at + timedelta(seconds=seconds(c.spec.analysis.warmup))
        update |= {
            "analysis_started_at": stamp,
            "interval_end": clock.stamp(clock.ceil_to_grid(warm, seconds(c.spec.analysis.interval))),
        }
    return c.status.model_copy(update=update)


def _fold(c: Context) -> CanaryRolloutStatus:
    status = c.status
    thresholds = Thresholds.of(c.spec, c.gates)
    for reading in c.snap.intervals:
        if clock.stamp(reading.start) == status.interval_end:
            status = _fold_one(c, status, reading, thresholds)
    restarts = c.snap.canary.restarts if c.snap.canary else 0
    gates = evidence.judge_restarts(c.gates, status.gates, restarts)
    status = status.model_copy(update={"gates": list(gates)})
    return status.model_copy(update={"forecast": forecast(c.gates, status, float(c.spec.analysis.beta))})


def _fold_one(
    c: Context, status: CanaryRolloutStatus, reading: IntervalReading, thresholds: Thresholds
) -> CanaryRolloutStatus:
    """One interval. One in which the weight was changing is passed over: it belongs to no stratum.

    The change begins with our write and is over queryOffset later: a gateway takes up to a second to follow.
    """
    end = clock.stamp(reading.end)
    since, settled = clock.parse(status.weight.since), _settled(c, status)
    if since and settled and reading.start < settled and reading.end > since:
        return status.model_copy(update={"interval_end": end})
    current = settled is None or reading.start >= settled
    share = status.weight.applied / 100 if current and c.by_route else None
    gates = evidence.fold(c.gates, status.gates, reading, share, thresholds)
    update: dict[str, object] = {"interval_end": end, "gates": list(gates)}
    if current and status.step.started_at:
        step = _count_requests(c, status.step, reading)
        update["step"] = step
        if step.total_requests:
            observed = f"{100 * step.canary_requests / step.total_requests:.1f}"
            update["weight"] = status.weight.model_copy(update={"observed": observed})
    return status.model_copy(update=update)


def _settled(c: Context, status: CanaryRolloutStatus) -> datetime | None:
    """When the applied weight was in force everywhere."""
    since = clock.parse(status.weight.since)
    return since + timedelta(seconds=seconds(c.spec.analysis.query_offset)) if since else None


def _count_requests(c: Context, step: StepStatus, reading: IntervalReading) -> StepStatus:
    """Requests by arm, from the first gate that counts them in both arms."""
    ratio = {g.name for g in c.gates if g.kind is Kind.RATIO}
    first = next((r for r in reading.gates if r.gate in ratio and r.problem is None), None)
    if first is None:
        return step
    return step.model_copy(
        update={
            "canary_requests": step.canary_requests + first.canary.total,
            "total_requests": step.total_requests + first.canary.total + first.baseline.total,
        }
    )


def _too_late(c: Context) -> CanaryRolloutStatus | None:
    """A weight that cannot be applied in time, or no verdict after maxDuration."""
    pending = c.action is Action.SHIFT and c.reason is Reason.STEP_WEIGHT and not weight_confirmed(c)
    if pending and clock.elapsed(c.status.last_decision.at, c.now) >= c.spec.progress_deadline_seconds:
        return record.end(c, Action.ROLL_BACK, Reason.DEADLINE_EXCEEDED, record.deadline(c))
    limit = seconds(c.spec.promotion.max_duration)
    if c.action is Action.PAUSE or clock.elapsed(c.status.analysis_started_at, c.now) < limit:
        return None
    return _inconclusive(c)


def _inconclusive(c: Context) -> CanaryRolloutStatus | None:
    """MaxDuration is over. Without data nothing is decided, whatever onInconclusive says."""
    if _proven(c):
        return None
    if (blind := evidence.without_data(c.status.gates)) is not None:
        return record.decided(
            c.status, c.now, Action.HOLD, Reason.NO_DATA, f"maxDuration is over without data: {blind.message}"
        )
    message = f"no verdict after maxDuration {c.spec.promotion.max_duration}: " + "; ".join(
        g.message for g in evidence.unproven(c.status.gates)
    )
    match c.spec.promotion.on_inconclusive:
        case "Promote":
            return record.promote(c, Reason.INCONCLUSIVE, message)
        case "Rollback":
            return record.end(c, Action.ROLL_BACK, Reason.INCONCLUSIVE, message)
        case _:
            return record.decided(c.status, c.now, Action.HOLD, Reason.INCONCLUSIVE, message)


def _shifting(c: Context) -> CanaryRolloutStatus:
    """At a weight: apply it, keep it as long as the step says, go on."""
    weight, place = c.status.weight.desired, f"step {c.status.step.index + 1} of {len(c.spec.steps)}"
    if not weight_confirmed(c):
        return record.decided(
            c.status, c.now, Action.SHIFT, Reason.STEP_WEIGHT, f"{place}: weight {weight} % is being applied"
        )
    if _step_elapsed(c) and _judged_here(c):
        if (blind := evidence.without_data(c.status.gates)) is None:
            return _next_step(c)
        return record.decided(
            c.status, c.now, Action.SHIFT, Reason.NO_DATA, f"{place}: weight {weight} % is kept: {blind.message}"
        )
    return record.decided(c.status, c.now, Action.SHIFT, Reason.ANALYZING, f"{place}: weight {weight} %, no harm found")


def _step_elapsed(c: Context) -> bool:
    step = c.spec.steps[min(c.status.step.index, len(c.spec.steps) - 1)]
    started = c.status.step.started_at
    return bool(started) and clock.elapsed(started, c.now) >= seconds(step.min_duration or _DEFAULT_MIN_DURATION)


def _judged_here(c: Context) -> bool:
    """At least one whole interval of this weight was judged."""
    settled, last = _settled(c, c.status), clock.parse(c.status.interval_end)
    interval = timedelta(seconds=seconds(c.spec.analysis.interval))
    return settled is not None and last is not None and last - interval >= settled


def _pausing(c: Context) -> CanaryRolloutStatus:
    """Wait for a person, or for the pause's end. The weight of the pause is that of the step before."""
    if c.reason is Reason.PAUSED_BY_USER:
        if c.asked("resume") or c.asked("promote"):
            status = c.status.model_copy(update={"paused_by_user": False})
            return record.decided(status, c.now, Action.SHIFT, Reason.ANALYZING, "resumed by a person")
        return c.status
    pause = c.spec.steps[min(c.status.step.index, len(c.spec.steps) - 1)].pause
    over = pause is None or (
        pause.duration is not None and clock.elapsed(c.status.last_decision.at, c.now) >= seconds(pause.duration)
    )
    return _next_step(c) if over or c.asked("promote") else c.status


def _next_step(c: Context) -> CanaryRolloutStatus:
    following = c.status.step.index + 1
    return record.enter_step(c, following) if following < len(c.spec.steps) else _finish(c)


def _proven(c: Context) -> bool:
    return bool(c.status.gates) and not evidence.unproven(c.status.gates) and any(not g.dry_run for g in c.status.gates)


def _finish(c: Context) -> CanaryRolloutStatus:
    """All steps are done: promote on evidence, or hold until there is some."""
    numbers = "; ".join(g.message for g in c.status.gates if not g.dry_run)
    if (blind := evidence.without_data(c.status.gates)) is not None:
        return record.decided(c.status, c.now, Action.HOLD, Reason.NO_DATA, blind.message)
    if c.spec.promotion.require == "Duration":
        return record.promote(c, Reason.DURATION_ELAPSED, f"the steps are over and no gate found harm: {numbers}")
    if _proven(c):
        return record.promote(c, Reason.GATES_PASSED, f"every gate proved the candidate safe: {numbers}")
    rest = "; ".join(g.message for g in evidence.unproven(c.status.gates))
    return record.decided(
        c.status, c.now, Action.HOLD, Reason.INSUFFICIENT_EVIDENCE, f"the steps are over, not yet proven safe: {rest}"
    )
