"""What a spec would have decided on a history: intervals in, evidence and decision out. Pure.

The evidence is the operator's own (`evidence.fold`), and so are the rules. What a history cannot tell is settled thus:
a weight is in force as soon as its step begins, every interval belongs to one step, and a pause that waits for a person
is over at once.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from chaffinch_operator.canary import calibration, clock, evidence
from chaffinch_operator.canary.gates import Kind, ResolvedGate
from chaffinch_operator.canary.judgement import Thresholds
from chaffinch_operator.canary.model import CanaryRolloutSpec, Promotion, Step
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import Calibration, IntervalReading
from chaffinch_operator.canary.status import GateStatus
from chaffinch_operator.schema import seconds

_DEFAULT_MIN_DURATION = "2m"


class Verdict(StrEnum):
    """What a backtest says."""

    PROMOTE = "Promote"
    ROLLBACK = "Rollback"
    HOLD = "Hold"


@dataclass(frozen=True, slots=True)
class Decision:
    """What would be done, since when, and why. Promote and Rollback are final."""

    verdict: Verdict
    reason: Reason
    at: datetime
    message: str

    @property
    def final(self) -> bool:
        """Whether it ends the rollout."""
        return self.verdict is not Verdict.HOLD


@dataclass(frozen=True, slots=True)
class Plan:
    """How a backtest goes through a rollout.

    Attributes:
        steps: as they are gone through; none: promoted as soon as every gate passes.
        promotion: of the spec.
        share: the intended share of the canary in all intervals, None where the steps say it.
        by_steps: the steps say the intended share.
        told: the percent that was intended at a time, where it is known otherwise.

    """

    steps: tuple[Step, ...]
    promotion: Promotion
    share: float | None = None
    by_steps: bool = False
    told: Callable[[datetime], float | None] | None = None


def plan_of(spec: CanaryRolloutSpec, *, ignore_steps: bool = False, weight: float | None = None) -> Plan:
    """How to go through a spec; weight in percent. Steps count when they are written in the spec."""
    steps = () if ignore_steps or "steps" not in spec.model_fields_set else tuple(spec.steps)
    by_steps = bool(steps) and weight is None and spec.traffic_routing.gateway_api is not None
    return Plan(steps, spec.promotion, None if weight is None else weight / 100.0, by_steps)


@dataclass(frozen=True, slots=True)
class Course:
    """Where the rollout is."""

    step: int = 0
    """Index of the step; the number of steps when all are done."""
    step_since: datetime | None = None
    """When the step began; None before the first interval."""
    started: datetime | None = None
    decision: Decision | None = None


@dataclass(frozen=True, slots=True)
class Point:
    """The state at the end of one interval."""

    start: datetime
    end: datetime
    gates: tuple[GateStatus, ...]
    decision: Decision
    weight: float | None
    """Percent that the canary was to get in this interval; None where unknown."""


def absent_restarts(gates: Sequence[ResolvedGate], present: Iterable[str]) -> tuple[ResolvedGate, ...]:
    """The gates, with podRestarts that the history does not tell of left out of the decision (as if dryRun)."""
    known = frozenset(present)
    return tuple(replace(g, dry_run=True) if g.kind is Kind.RESTARTS and g.name not in known else g for g in gates)


def replay(
    gates: Sequence[ResolvedGate],
    thresholds: Thresholds,
    plan: Plan,
    readings: Iterable[IntervalReading],
    calibrations: Sequence[Calibration] = (),
) -> Iterator[Point]:
    """One point per interval; the readings come in time order. Goes on after a decision.

    calibrations: what gates take from the time before; one without goes by its spec, with Auto by 1.
    """
    statuses = calibration.record(gates, (), calibrations)
    course = Course()
    for reading in readings:
        if course.started is None:
            course = replace(course, started=reading.start, step_since=reading.start)
        weight = plan.told(reading.start) if plan.told else _weight(plan, course)
        share = None if weight is None else weight / 100.0
        statuses = evidence.fold(gates, statuses, reading, share, thresholds)
        statuses = _with_restarts(gates, statuses, reading)
        course = _onward(plan, course, statuses, reading.end)
        assert course.decision is not None
        yield Point(reading.start, reading.end, statuses, course.decision, weight)


def until_decided(points: Iterable[Point]) -> Iterator[Point]:
    """The points up to and with the one that ends the rollout."""
    for point in points:
        yield point
        if point.decision.final:
            return


def _with_restarts(
    gates: Sequence[ResolvedGate], statuses: Sequence[GateStatus], reading: IntervalReading
) -> tuple[GateStatus, ...]:
    """Restarts are counted up; a gate of which this interval says nothing stays as it is."""
    found = {r.gate: r.canary.bad for r in reading.gates if r.problem is None}
    return tuple(
        evidence.judge_restarts([gate], [status], status.canary.bad + found[gate.name])[0]
        if gate.kind is Kind.RESTARTS and gate.name in found
        else status
        for gate, status in zip(gates, statuses, strict=True)
    )


def _weight(plan: Plan, course: Course) -> float | None:
    """Percent intended in the next interval. What came after the decision, no step says."""
    if plan.share is not None:
        return 100.0 * plan.share
    if not plan.by_steps or (course.decision is not None and course.decision.final):
        return None
    weights = [s.set_weight for s in plan.steps[: course.step + 1] if s.set_weight is not None]
    return float(weights[-1]) if weights else None


def _onward(plan: Plan, course: Course, statuses: Sequence[GateStatus], now: datetime) -> Course:
    """After one interval: decide, or go on to the next step."""
    if course.decision is not None and course.decision.final:
        return course
    if (bad := evidence.failed(statuses)) is not None:
        return _decided(course, Verdict.ROLLBACK, Reason.GATE_FAILED, now, f"gate {bad.message}")
    if _without_verdict(plan, course, statuses, now):
        return _inconclusive(plan, course, statuses, now)
    blind = evidence.without_data(statuses)
    while course.step < len(plan.steps):
        if not _over(plan.steps[course.step], course, now):
            message = f"{_place(plan, course)}: no harm found"
            return _decided(course, Verdict.HOLD, _staying(plan, course), now, message)
        if blind is not None:
            return _decided(course, Verdict.HOLD, Reason.NO_DATA, now, f"{_place(plan, course)}: {blind.message}")
        course = replace(course, step=course.step + 1, step_since=now)
    return _finish(plan, course, statuses, now)


def _decided(course: Course, verdict: Verdict, reason: Reason, now: datetime, message: str) -> Course:
    return replace(course, decision=Decision(verdict, reason, now, message))


def _over(step: Step, course: Course, now: datetime) -> bool:
    """Whether a step was kept long enough; a weight for at least the interval that just ended."""
    assert course.step_since is not None
    elapsed = now - course.step_since
    if step.pause is not None:
        return elapsed >= timedelta(seconds=seconds(step.pause.duration or "0s"))
    return elapsed > timedelta(0) and elapsed >= timedelta(seconds=seconds(step.min_duration or _DEFAULT_MIN_DURATION))


def _staying(plan: Plan, course: Course) -> Reason:
    return Reason.PAUSED if plan.steps[course.step].pause is not None else Reason.ANALYZING


def _place(plan: Plan, course: Course) -> str:
    return f"step {course.step + 1} of {len(plan.steps)}"


def _without_verdict(plan: Plan, course: Course, statuses: Sequence[GateStatus], now: datetime) -> bool:
    """Whether maxDuration is over and no verdict is there; a pause is waited out, as by the operator."""
    assert course.started is not None
    paused = course.step < len(plan.steps) and plan.steps[course.step].pause is not None
    if paused or plan.promotion.require == "Duration" or evidence.proven(statuses):
        return False
    return now - course.started >= timedelta(seconds=seconds(plan.promotion.max_duration))


def _inconclusive(plan: Plan, course: Course, statuses: Sequence[GateStatus], now: datetime) -> Course:
    limit = plan.promotion.max_duration
    if (blind := evidence.without_data(statuses)) is not None:
        message = f"maxDuration {limit} is over without data: {blind.message}"
        return _decided(course, Verdict.HOLD, Reason.NO_DATA, now, message)
    verdict = Verdict(plan.promotion.on_inconclusive)
    message = f"no verdict after maxDuration {limit}: {_open_questions(statuses)}"
    return _decided(course, verdict, Reason.INCONCLUSIVE, now, message)


def _open_questions(statuses: Sequence[GateStatus]) -> str:
    if not any(not g.dry_run for g in statuses):
        return "no gate that the history tells of acts, so none can prove anything"
    return "; ".join(g.message for g in evidence.unproven(statuses))


def _finish(plan: Plan, course: Course, statuses: Sequence[GateStatus], now: datetime) -> Course:
    """All steps are done: promote on evidence, or hold until there is some."""
    numbers = "; ".join(g.message for g in statuses if not g.dry_run)
    if (blind := evidence.without_data(statuses)) is not None:
        return _decided(course, Verdict.HOLD, Reason.NO_DATA, now, blind.message)
    if plan.promotion.require == "Duration":
        message = f"the steps are over and no gate found harm: {numbers}"
        return _decided(course, Verdict.PROMOTE, Reason.DURATION_ELAPSED, now, message)
    if evidence.proven(statuses):
        return _decided(
            course, Verdict.PROMOTE, Reason.GATES_PASSED, now, f"every gate proved the candidate safe: {numbers}"
        )
    before = "the steps are over, " if plan.steps else ""
    message = f"{before}not yet proven safe: {_open_questions(statuses)}"
    return _decided(course, Verdict.HOLD, Reason.INSUFFICIENT_EVIDENCE, now, message)


def describe(decision: Decision) -> str:
    """One line: "Rollback at 2026-01-31T12:00:00Z (GateFailed): gate errors: ..."."""
    return f"{decision.verdict} at {clock.stamp(decision.at)} ({decision.reason}): {decision.message}"
