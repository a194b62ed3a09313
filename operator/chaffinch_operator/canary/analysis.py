"""While a canary is judged: confirm the weight, fold closed intervals, then fail, go on, wait or promote. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta

from chaffinch_operator.canary import clock, evidence, record
from chaffinch_operator.canary.flow import Context, baseline_unready, blocked, unready, weight_confirmed
from chaffinch_operator.canary.forecast import forecast
from chaffinch_operator.canary.gates import Kind
from chaffinch_operator.canary.judgement import Thresholds
from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.canary.sizing import split_share
from chaffinch_operator.canary.snapshot import IntervalReading
from chaffinch_operator.canary.status import CanaryRolloutStatus, StepStatus
from chaffinch_operator.schema import seconds

_DEFAULT_MIN_DURATION = "2m"


def analyse(c: Context) -> CanaryRolloutStatus:
    """One pass at a weight."""
    c = replace(c, status=_confirm(c))
    c = replace(c, status=_fold(c))
    weight = c.status.weight.desired
    if bad := evidence.failed(c.status.gates):
        return record.end(c, Action.ROLL_BACK, Reason.GATE_FAILED, f"gate {bad.message}")
    if c.asked("pause"):
        message = f"paused by a person at weight {weight} %; kubectl chaffinch resume {c.snap.name}"
        return record.decided(c.status, c.now, Action.PAUSE, Reason.PAUSED_BY_USER, message)
    if _weight_is_late(c) and (unready(c) or not baseline_unready(c)):
        return record.end(c, Action.ROLL_BACK, Reason.DEADLINE_EXCEEDED, record.deadline(c))
    if c.snap.provider_problem and c.action is not Action.PAUSE:
        message = f"weight {weight} % is kept: {c.snap.provider_problem.message}"
        return record.decided(c.status, c.now, c.action, Reason.PROVIDER_UNREACHABLE, message)
    if _without_verdict(c):
        return _inconclusive(c)
    return {Action.SHIFT: _shifting, Action.PAUSE: _pausing, Action.HOLD: _holding}[c.action](c)


def _confirm(c: Context) -> CanaryRolloutStatus:
    """Since when the weight is applied; once it is the decided one, the step's clock starts."""
    confirmed = weight_confirmed(c)
    at = _applied_since(c, confirmed=confirmed)
    if at is None or c.status.weight.desired == 0:
        return c.status
    status, stamp = c.status, clock.stamp(at)
    if status.weight.since != stamp:
        status = status.model_copy(update={"weight": status.weight.model_copy(update={"since": stamp})})
    if not confirmed:
        return status
    if not status.step.started_at:
        decided = clock.parse(status.last_decision.at) or at
        started = clock.stamp(max(at, decided))
        status = status.model_copy(update={"step": status.step.model_copy(update={"started_at": started})})
    if not status.analysis_started_at:
        warm = at + timedelta(seconds=seconds(c.spec.analysis.warmup))
        first = clock.stamp(clock.ceil_to_grid(warm, seconds(c.spec.analysis.interval)))
        status = status.model_copy(update={"analysis_started_at": stamp, "interval_end": first})
    return status


def _applied_since(c: Context, *, confirmed: bool) -> datetime | None:
    """When the weight that is applied now was set, decided or not; None while unknown.

    By a route the write says it. By replicas the weight is there once the pods are, which is when it is confirmed.
    """
    known, now = clock.parse(c.status.weight.since), c.now if confirmed else None
    if c.by_route:
        return (c.snap.route.weight_since if c.snap.route else None) or known or now
    scaled = c.snap.canary.weight_since if c.snap.canary else None
    return known if known and (scaled is None or known >= scaled) else now or known


def _fold(c: Context) -> CanaryRolloutStatus:
    status = c.status
    thresholds = Thresholds.of(c.spec, c.gates)
    for reading in c.snap.intervals:
        if clock.stamp(reading.start) == status.interval_end:
            status = _fold_one(c, status, reading, thresholds)
    gates = evidence.judge_restarts(c.gates, status.gates, c.snap.canary.restarts if c.snap.canary else None)
    status = status.model_copy(update={"gates": list(gates)})
    return status.model_copy(update={"forecast": forecast(c.spec, c.gates, status)})


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
    share = split_share(status.weight.applied, dedicated=c.dedicated) if current and c.by_route else None
    gates = evidence.fold(c.gates, status.gates, reading, share, thresholds)
    update: dict[str, object] = {"interval_end": end, "gates": list(gates)}
    if current and status.step.started_at:
        step = _count_requests(c, status.step, reading)
        update["step"] = step
        if everything := step.total_requests + step.other_requests:
            observed = f"{100 * step.canary_requests / everything:.1f}"
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
            "other_requests": step.other_requests + first.other_requests,
        }
    )


def _weight_is_late(c: Context) -> bool:
    """A weight is not applied in time. The time runs from when the canary was scaled for it."""
    canary = c.snap.canary
    if c.action is not Action.SHIFT or c.reason is not Reason.STEP_WEIGHT or weight_confirmed(c) or canary is None:
        return False
    since = max(filter(None, (clock.parse(c.status.last_decision.at), canary.weight_since)), default=c.now)
    late = (c.now - since).total_seconds() >= c.spec.progress_deadline_seconds
    return late and canary.weight == c.status.weight.desired


def _without_verdict(c: Context) -> bool:
    """Whether maxDuration is over and no verdict is there. With require: Duration the steps' end is the verdict."""
    if c.action is Action.PAUSE or c.spec.promotion.require == "Duration" or evidence.proven(c.status.gates):
        return False
    return clock.elapsed(c.status.analysis_started_at, c.now) >= seconds(c.spec.promotion.max_duration)


def _inconclusive(c: Context) -> CanaryRolloutStatus:
    """What happens after maxDuration. Without data nothing is decided, whatever onInconclusive says."""
    limit = c.spec.promotion.max_duration
    if (blind := evidence.without_data(c.status.gates)) is not None:
        message = f"maxDuration {limit} is over without data: {blind.message}"
        return record.decided(c.status, c.now, Action.HOLD, Reason.NO_DATA, message)
    message = f"no verdict after maxDuration {limit}: {_open_questions(c)}"
    match c.spec.promotion.on_inconclusive:
        case "Promote" if blocked(c) is None:
            return record.promote(c, Reason.INCONCLUSIVE, message)
        case "Rollback":
            return record.end(c, Action.ROLL_BACK, Reason.INCONCLUSIVE, message)
        case _:
            return record.decided(c.status, c.now, Action.HOLD, Reason.INCONCLUSIVE, message)


def _open_questions(c: Context) -> str:
    """What is not proven, gate by gate."""
    if not any(not g.dry_run for g in c.status.gates):
        return (
            "every gate is dryRun, so none can prove anything; to release it: "
            f"kubectl chaffinch promote {c.snap.name} --force"
        )
    return "; ".join(g.message for g in evidence.unproven(c.status.gates))


def _shifting(c: Context) -> CanaryRolloutStatus:
    """At a weight: apply it, keep it as long as the step says, go on."""
    weight, place = c.status.weight.desired, f"step {c.status.step.index + 1} of {len(c.spec.steps)}"
    if not weight_confirmed(c):
        if baseline_unready(c) and (c.reason is Reason.BASELINE_NOT_AVAILABLE or _weight_is_late(c)):
            message = f"{place}: {record.baseline_deadline(c)}"
            return record.decided(c.status, c.now, Action.SHIFT, Reason.BASELINE_NOT_AVAILABLE, message)
        message = f"{place}: weight {weight} % is being applied"
        return record.decided(c.status, c.now, Action.SHIFT, Reason.STEP_WEIGHT, message)
    if _step_elapsed(c) and _judged_here(c):
        if (blind := evidence.without_data(c.status.gates)) is None:
            return _next_step(c)
        message = f"{place}: weight {weight} % is kept: {blind.message}"
        return record.decided(c.status, c.now, Action.SHIFT, Reason.NO_DATA, message)
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
    if c.reason is Reason.PAUSED_BY_ALERT:
        return _after_alert(c)
    if c.asked("promote"):
        return _next_step(c)
    pause = c.spec.steps[min(c.status.step.index, len(c.spec.steps) - 1)].pause
    over = pause is None or (
        pause.duration is not None and clock.elapsed(c.status.last_decision.at, c.now) >= seconds(pause.duration)
    )
    if not over:
        return c.status
    if unseen := _unseen(c):
        return _stay(c, Reason.NO_DATA, f"the pause is over, the weight is kept: {unseen}")
    return _next_step(c)


def _after_alert(c: Context) -> CanaryRolloutStatus:
    """Once a person lets it go on: back to where the alert met it."""
    if not (c.asked("resume") or c.asked("promote")):
        return c.status
    c = replace(c, status=c.status.model_copy(update={"paused_by_user": False}))
    if c.status.weight.desired == 0:
        message = record.initializing(c.status.candidate)
        return record.decided(c.status, c.now, Action.START, Reason.INITIALIZING, message)
    index = min(c.status.step.index, len(c.spec.steps) - 1)
    if c.spec.steps[index].pause is not None:
        return _next_step(c) if c.asked("promote") else record.enter_step(c, index)
    return record.decided(c.status, c.now, Action.SHIFT, Reason.ANALYZING, "resumed by a person")


def _unseen(c: Context) -> str:
    """Why nobody knows how the canary does; empty when it is known, or when it has no traffic to be known by."""
    if c.status.weight.desired == 0:
        return ""
    blind = evidence.without_data(c.status.gates)
    return c.snap.provider_problem.message if c.snap.provider_problem else blind.message if blind else ""


def _holding(c: Context) -> CanaryRolloutStatus:
    """Wait for evidence. Steps that are left, because maxDuration came first, are still gone through."""
    return _shifting(c) if c.status.step.index + 1 < len(c.spec.steps) else _finish(c)


def _stay(c: Context, reason: Reason, message: str) -> CanaryRolloutStatus:
    """Go on where it is, and say why. A pause keeps its reason: its time counts from when it was decided."""
    return record.decided(c.status, c.now, c.action, c.reason if c.action is Action.PAUSE else reason, message)


def _next_step(c: Context) -> CanaryRolloutStatus:
    following = c.status.step.index + 1
    if problem := blocked(c):
        return _stay(c, problem.reason, f"weight {c.status.weight.desired} % is kept: {problem.message}")
    return record.enter_step(c, following) if following < len(c.spec.steps) else _finish(c)


def _finish(c: Context) -> CanaryRolloutStatus:
    """All steps are done: promote on evidence, or hold until there is some."""
    numbers = "; ".join(g.message for g in c.status.gates if not g.dry_run)
    if problem := blocked(c):
        return record.decided(c.status, c.now, Action.HOLD, problem.reason, problem.message)
    if (blind := evidence.without_data(c.status.gates)) is not None:
        return record.decided(c.status, c.now, Action.HOLD, Reason.NO_DATA, blind.message)
    if c.spec.promotion.require == "Duration":
        return record.promote(c, Reason.DURATION_ELAPSED, f"the steps are over and no gate found harm: {numbers}")
    if evidence.proven(c.status.gates):
        return record.promote(c, Reason.GATES_PASSED, f"every gate proved the candidate safe: {numbers}")
    message = f"the steps are over, not yet proven safe: {_open_questions(c)}"
    return record.decided(c.status, c.now, Action.HOLD, Reason.INSUFFICIENT_EVIDENCE, message)
