"""`report`: a rollout, or a backtest, as a page of its own. Reads a cluster and Prometheus, changes nothing."""

import sys
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from chaffinch_operator.canary import backtest, clock
from chaffinch_operator.canary.backtest import Plan, Point
from chaffinch_operator.canary.gates import Kind, ResolvedGate, resolve
from chaffinch_operator.canary.judgement import Thresholds, fresh
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.snapshot import Calibration, IntervalReading
from chaffinch_operator.canary.status import GateStatus
from chaffinch_operator.cli import course, past_readings
from chaffinch_operator.cli.charts import Replayed
from chaffinch_operator.cli.course import Change
from chaffinch_operator.cli.failures import OK, CliError, DeclinedError, UsageProblemError
from chaffinch_operator.cli.login import Given, login, prometheus_at
from chaffinch_operator.cli.outcome import Outcome as State
from chaffinch_operator.cli.outcome import outcome_of as state_of
from chaffinch_operator.cli.outcome import state_word
from chaffinch_operator.cli.page import Page, render
from chaffinch_operator.cli.replay_document import Document, Outcome, Span, Subject, head, interval_document
from chaffinch_operator.cli.replay_output import alpha_of, page_of, write_file
from chaffinch_operator.cli.result_file import read_result
from chaffinch_operator.cli.rollout import Rollout
from chaffinch_operator.cli.session import Session
from chaffinch_operator.cli.world import Gateway
from chaffinch_operator.errors import ChaffinchError
from chaffinch_operator.resources import EVENTS
from chaffinch_operator.schema import seconds

_ENDED = {State.AT_REST, State.ROLLED_BACK}


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    name: str | None = None
    output: str | None = None
    result: str | None = None
    """File that `backtest -o json` wrote."""
    prometheus: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Judged:
    """A rollout with the gates it is judged by."""

    rollout: Rollout
    spec: CanaryRolloutSpec
    gates: tuple[ResolvedGate, ...]
    statuses: tuple[GateStatus, ...]
    thresholds: Thresholds


@dataclass(frozen=True, slots=True)
class Course:
    """What Prometheus still tells: the curves, the counts they end with, and what is to be said of it."""

    seen: Replayed | None
    notes: tuple[str, ...]
    intervals: int = 0


async def run(session: Session, request: Request) -> int:
    """Write the page, and say where."""
    if (request.name is None) == (request.result is None):
        raise UsageProblemError("give either the NAME of a CanaryRollout or --from-backtest FILE.json")
    if request.result is not None:
        summary, seen = read_result(request.result)
        path = request.output or "report.html"
        write_file(path, render(page_of(summary, f"Backtest of {summary['name']}"), summary, seen))
    else:
        path = request.output or f"{request.name}.html"
        write_file(path, await _of_rollout(session, request, str(request.name)))
    if path != "-":
        session.say(f"wrote {path}")
    return OK


async def _of_rollout(session: Session, request: Request, name: str) -> str:
    async with session.cluster() as gateway:
        rollout = await session.find(gateway, name)
        judged = _judged(rollout)
        known, untold = await _changes(gateway, rollout)
        begun = clock.parse(rollout.status.analysis_started_at)
        if begun is None:
            followed = Course(None, ("no canary has had traffic yet, so there is no evidence to show",))
        else:
            followed = await _follow(session, gateway, request, judged, known, begun)
    subject = Subject(
        rollout.name,
        rollout.namespace,
        judged.gates,
        judged.thresholds,
        float(judged.spec.analysis.beta),
        "Prometheus",
        (*untold, *followed.notes),
    )
    for note in subject.notes:
        session.warn(f"note: {note}")
    outcome = Outcome(state_word(rollout), rollout.status.last_decision.at or None, rollout.reason, rollout.sentence)
    span = Span(begun, clock.parse(rollout.status.interval_end), followed.intervals)
    summary = head(subject, outcome, judged.statuses, span)
    return render(_page(judged, summary, session.world.now()), summary, followed.seen)


def _judged(rollout: Rollout) -> Judged:
    spec, status = rollout.spec, rollout.status
    if spec is None:
        raise DeclinedError("the spec is of a version that this plugin does not know", "install the operator's version")
    last = status.history[0] if status.history else None
    gone = last is not None and status.stable is not None and last.digest == status.stable.digest
    stable = "" if gone or status.stable is None else status.stable.hash
    try:
        gates = resolve(spec, past_readings.naming(spec, rollout.namespace, rollout.name, stable))
    except ValueError as problem:
        raise DeclinedError(str(problem)) from problem
    have = {g.name: g for g in status.gates}
    statuses = tuple(fresh(g, have.get(g.name)) for g in gates)
    return Judged(rollout, spec, gates, statuses, Thresholds.of(spec, gates))


async def _changes(gateway: Gateway, rollout: Rollout) -> tuple[tuple[Change, ...], tuple[str, ...]]:
    """When the weight changed, from Events; without the right to read them, or after they expired, nobody knows."""
    begun = clock.parse(rollout.status.analysis_started_at)
    if begun is None:
        return (), ()
    try:
        events = await gateway.list(EVENTS, rollout.namespace)
    except ChaffinchError:
        return (), ("Events cannot be read, so it is not known when the weight changed",)
    known = course.changes(events, rollout.uid, begun)
    return known, () if known else ("the Events that told when the weight changed have expired",)


async def _follow(
    session: Session, gateway: Gateway, request: Request, judged: Judged, known: Sequence[Change], begun: datetime
) -> Course:
    """Ask Prometheus for every interval again and fold them once more."""
    spec, status = judged.spec, judged.rollout.status
    until = clock.parse(status.interval_end)
    start = begun + timedelta(seconds=seconds(spec.analysis.warmup))
    try:
        given = Given(request.prometheus, request.headers)
        asking = await login(session, gateway, spec, judged.rollout.namespace, given)
        if asking is None or until is None:
            return Course(None, ("the gates ask no Prometheus: the final state is shown, not its course",))
        async with prometheus_at(asking) as prometheus:
            tell = past_readings.progress(sys.stderr.isatty())
            offset = timedelta(seconds=seconds(spec.analysis.query_offset))
            asked = past_readings.grid(spec, start, until)
            found = await past_readings.read_prometheus(prometheus, judged.gates, asked, tell, offset)
    except CliError as error:
        why = f"{error.message}: the final evidence is shown, not its course"
        return Course(None, (f"{why}; {error.hint}" if error.hint else why,))
    if not any(g.problem is None for r in found for g in r.gates):
        return Course(
            None, ("Prometheus has nothing of that time any more: the final evidence is shown, not its course",)
        )
    offset = timedelta(seconds=seconds(spec.analysis.query_offset))
    return _replayed(judged, course.settled(found, known, offset), known, begun, until)


def _replayed(
    judged: Judged, found: Sequence[IntervalReading], known: Sequence[Change], begun: datetime, until: datetime
) -> Course:
    subject = Subject("", "", judged.gates, judged.thresholds, float(judged.spec.analysis.beta), "")
    gates = backtest.absent_restarts(judged.gates, ())
    plan = Plan((), judged.spec.promotion, told=lambda at: course.weight_at(known, at))
    seen, last = Replayed(begun, until), None
    for point in backtest.replay(gates, judged.thresholds, plan, found, _calibrations(judged.statuses)):
        seen.add({**interval_document(subject, point), "decision": "Hold"})
        last = point
    if state_of(judged.rollout) in _ENDED and judged.rollout.status.history:
        entry = judged.rollout.status.history[0]
        seen.final = (entry.result, clock.parse(entry.at) or until)
    counted = {Kind.RATIO, Kind.OBJECTIVE, Kind.SPLIT} if known else {Kind.RATIO, Kind.OBJECTIVE}
    return Course(seen, _differences(judged, last, counted), seen.intervals)


def _calibrations(statuses: Sequence[GateStatus]) -> tuple[Calibration, ...]:
    """As the operator fixed them before the first look."""
    return tuple(
        Calibration(s.name, s.dispersion, s.dispersion_source, s.method) for s in statuses if s.dispersion_source
    )


def _differences(judged: Judged, last: Point | None, counted: Set[Kind]) -> tuple[str, ...]:
    """Gates whose counts, read again, are not those that the operator judged."""
    again = {s.name: s for s in last.gates} if last else {}
    kinds = {g.name: g.kind for g in judged.gates}
    differing = [
        s.name
        for s in judged.statuses
        if kinds[s.name] in counted
        and s.name in again
        and (again[s.name].canary, again[s.name].baseline) != (s.canary, s.baseline)
    ]
    if not differing:
        return ()
    return (
        (
            f"read again, the counts of {', '.join(differing)} differ from those that the operator judged (it leaves "
            "out intervals in which the weight changed); the table has the operator's, the curves those read again"
        ),
    )


def _page(judged: Judged, summary: Document, now: datetime) -> Page:
    status, limits, history = judged.rollout.status, summary["thresholds"], summary["history"]
    images = [
        (label, r.image or r.digest) for label, r in (("Stable", status.stable), ("Candidate", status.candidate)) if r
    ]
    outcomes = [(f"{h.result} at {h.at}", f"{h.image or h.digest}: {h.message}") for h in status.history[:3]]
    facts = (
        *images,
        ("Analysis", f"{history['start'] or 'not begun'} to {history['end'] or 'now'}"),
        ("Alpha", alpha_of(limits)),
        ("Beta", f"{limits['beta']:g}"),
        *outcomes,
        ("Written", clock.stamp(now.replace(microsecond=0))),
    )
    title = f"CanaryRollout {judged.rollout.key}"
    return Page(
        title, summary["decision"], f"({summary['reason']}) {summary['message']}", facts, tuple(summary["notes"])
    )
