"""When a canary that is as good as stable will have proven it, at the traffic measured in the present step. Pure."""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from chaffinch_operator.canary import calibration, clock, judge_group
from chaffinch_operator.canary.gates import ResolvedGate
from chaffinch_operator.canary.reasons import Verdict
from chaffinch_operator.canary.status import CanaryRolloutStatus, Forecast, GateStatus
from chaffinch_stats import group_sequential, planning, requests_to_pass, safe_threshold
from chaffinch_stats.group_sequential import GroupGate


def forecast(gates: Sequence[ResolvedGate], status: CanaryRolloutStatus, beta: float) -> Forecast | None:
    """Requests of both arms that the slowest gate still needs, and when they will have come; None while unknown.

    The evidence a gate has counts: what is missing of log(1/beta) is taken as the share of the requests missing. In
    mode GroupSequential it is the end of the longer plan, by which a decision is due whatever the candidate is.
    """
    step, seconds = status.step, _seconds_judged(status)
    if seconds <= 0 or not 0 < step.canary_requests < step.total_requests:
        return None
    share = step.canary_requests / step.total_requests
    statuses = {g.name: g for g in status.gates}
    needed = max(
        (
            _still_needed(calibration.settled(g, statuses[g.name]), statuses[g.name], share, beta)
            for g in gates
            if g.acting and g.name in statuses
        ),
        default=0.0,
    )
    if math.isinf(needed):
        return None
    until = timedelta(seconds=needed * seconds / step.total_requests)
    end = clock.parse(status.interval_end)
    return Forecast(requests_needed=math.ceil(needed), decision_by=_by(end, until)) if end else None


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


def _seconds_judged(status: CanaryRolloutStatus) -> float:
    started, end = clock.parse(status.step.started_at), clock.parse(status.interval_end)
    return (end - started).total_seconds() if started and end else 0.0


def _by(end: datetime, until: timedelta) -> str:
    """In whole minutes, so that it does not change with every interval; empty when it is more than a month away."""
    if until > timedelta(days=31):
        return ""
    at = end + until
    return clock.stamp(at.replace(second=0, microsecond=0) + timedelta(minutes=1))
