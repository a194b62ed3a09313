"""When a canary that is as good as stable will have proven it, at the traffic measured so far. Pure."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from chaffinch_operator.canary import calibration, clock, judge_group, pace
from chaffinch_operator.canary.gates import ResolvedGate
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Verdict
from chaffinch_operator.canary.status import CanaryRolloutStatus, Forecast, GateStatus
from chaffinch_operator.schema import seconds
from chaffinch_stats import group_sequential, planning, requests_to_pass, safe_threshold
from chaffinch_stats.group_sequential import GroupGate

_MONTH = 31 * 86_400.0


def forecast(spec: CanaryRolloutSpec, gates: Sequence[ResolvedGate], status: CanaryRolloutStatus) -> Forecast | None:
    """What the slowest gate still needs through the steps to come, and when it will have it; None while unknown.

    The evidence a gate has counts: what is missing of log(1/beta) is taken as the share of the requests missing. In
    mode GroupSequential it is the end of the longer plan, by which a decision is due whatever the candidate is.
    """
    stretches, beta = pace.ahead(spec, status), float(spec.analysis.beta)
    end = clock.parse(status.interval_end)
    if not stretches or end is None:
        return None
    statuses = {g.name: g for g in status.gates}
    judged = [(calibration.settled(g, statuses[g.name]), statuses[g.name]) for g in gates if g.name in statuses]
    times = {
        g.name: pace.time_to_gather(stretches, partial(_still_needed, g, told, beta=beta))
        for g, told in judged
        if g.acting
    }
    slowest = max(times, key=times.__getitem__, default="")
    longest = times.get(slowest, 0.0)
    if math.isinf(longest):
        return None
    decided = max(longest, pace.steps_left(stretches))
    return Forecast(
        requests_needed=math.ceil(pace.requests_in(stretches, longest)),
        decision_by=_by(end, decided),
        gate=slowest if longest else "",
    )


def deadline(spec: CanaryRolloutSpec, status: CanaryRolloutStatus) -> datetime | None:
    """When maxDuration is over; None before the canary had its first weight."""
    started = clock.parse(status.analysis_started_at)
    return started + timedelta(seconds=seconds(spec.promotion.max_duration)) if started else None


def too_slow(spec: CanaryRolloutSpec, status: CanaryRolloutStatus) -> bool | None:
    """Whether there will be no verdict within maxDuration; None where that is not known, or does not matter."""
    over = deadline(spec, status)
    if status.forecast is None or over is None or spec.promotion.require == "Duration":
        return None
    by = clock.parse(status.forecast.decision_by)
    return by is None or by > over


def _still_needed(gate: ResolvedGate, status: GateStatus, share: float, beta: float) -> float:
    """Requests of both arms; 0 for a gate that passes already, or that gathers no evidence."""
    if status.verdict is Verdict.PASS or (gate.count is None and gate.rate is None):
        return 0.0
    total = status.canary.total + status.baseline.total
    if total == 0:
        return math.inf
    rate = (status.canary.bad + status.baseline.bad) / total
    if gate.group is not None:
        return _of_the_plan(gate.group, status, rate, share)
    if gate.count is not None:
        all_of_it = requests_to_pass(gate.count, rate, share, beta)
    else:
        assert gate.rate is not None
        all_of_it = planning.rate_requests_to_pass(gate.rate, rate, beta) / share
    missing = 1.0 - float(status.log_e_safe or 0) / safe_threshold(beta)
    return all_of_it * max(0.0, missing)


def _of_the_plan(gate: GroupGate, status: GateStatus, rate: float, share: float) -> float:
    """What the plan still wants; inf once it has ended without an outcome."""
    evidence = judge_group.evidence_of(gate, status)
    if judge_group.plan_has_ended(evidence, gate):
        return math.inf
    whole, missing = group_sequential.requests_planned(gate, rate, share), judge_group.share_missing(evidence, gate)
    return whole * missing if missing > 0.0 else 0.0


def _by(end: datetime, seconds_ahead: float) -> str:
    """In whole minutes, so that it does not change with every interval; empty when it is more than a month away."""
    if seconds_ahead > _MONTH:
        return ""
    at = end + timedelta(seconds=seconds_ahead)
    return clock.stamp(at.replace(second=0, microsecond=0) + timedelta(minutes=1))
