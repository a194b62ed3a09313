"""`backtest`: replay a spec on a history and print what it would have decided. Needs no cluster."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from chaffinch_operator.canary import backtest, calibration, csv_history
from chaffinch_operator.canary import history as past_history
from chaffinch_operator.canary.backtest import Plan, Point
from chaffinch_operator.canary.gates import Kind, ResolvedGate, resolve
from chaffinch_operator.canary.judgement import Thresholds
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.snapshot import Calibration, IntervalReading
from chaffinch_operator.cli import past_readings
from chaffinch_operator.cli.failures import OK, DeclinedError, UsageProblemError
from chaffinch_operator.cli.login import Given, Login, login, prometheus_at
from chaffinch_operator.cli.manifest import Manifest, load
from chaffinch_operator.cli.replay_document import Subject
from chaffinch_operator.cli.replay_output import Outputs, tell_replay
from chaffinch_operator.cli.session import Session
from chaffinch_operator.schema import seconds

_PODS = "two halves of stable's pods"
_GIVEN = "Given on the command line"


@dataclass(frozen=True, slots=True)
class Source:
    """Where the history is: a CSV, or a stretch of time on a Prometheus."""

    csv: str | None = None
    start: datetime | None = None
    end: datetime | None = None
    prometheus: str | None = None
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked for."""

    file: str
    source: Source
    rollout: str | None = None
    dispersion: float | None = None
    baseline_csv: str | None = None
    warm_seconds: float = 0.0
    weight: float | None = None
    ignore_steps: bool = False
    outputs: Outputs = field(default_factory=Outputs)


@dataclass(frozen=True, slots=True)
class Past:
    """A history, ready to be replayed."""

    start: datetime
    end: datetime
    intervals: int
    readings: Iterator[IntervalReading]
    calibrations: tuple[Calibration, ...]
    source: str
    gates: tuple[ResolvedGate, ...]
    to_decision: bool = False
    """Stop there: what comes after the decision is no canary any more."""


async def run(session: Session, request: Request) -> int:
    """Replay, and print."""
    manifest = load(request.file, request.rollout)
    gates = gates_of(session, manifest)
    source = one_source(request.source)
    past = (
        _from_csv(request, manifest, gates, source.csv)
        if source.csv is not None
        else await _from_prometheus(session, request, manifest, gates)
    )
    subject, points = _replay(
        session,
        manifest,
        past,
        backtest.plan_of(manifest.spec, ignore_steps=request.ignore_steps, weight=request.weight),
    )
    tell_replay(session, subject, past.start, past.end, points, request.outputs)
    return OK


def one_source(source: Source) -> Source:
    """The source, if it is one."""
    if (source.csv is None) == (source.start is None):
        raise UsageProblemError("give either --history FILE.csv or --from TIME")
    return source


async def server_of(session: Session, manifest: Manifest, source: Source) -> Login:
    """Where Prometheus is, and as whom it is asked; a cluster is needed only where the spec names a Secret."""
    namespace = session.flags.namespace or manifest.namespace or "default"
    asked = await login(session, None, manifest.spec, namespace, Given(source.prometheus, source.headers))
    if asked is None:
        raise UsageProblemError("the file names no analysis.provider: name a server with --prometheus URL")
    return asked


def thresholds_of(spec: CanaryRolloutSpec, gates: Sequence[ResolvedGate]) -> Thresholds:
    """When evidence is enough. DeclinedError where alpha or beta is out of range."""
    try:
        return Thresholds.of(spec, gates)
    except ValueError as problem:
        raise DeclinedError(f"spec.analysis: {problem}") from problem


def gates_of(session: Session, manifest: Manifest, stable_hash: str = "") -> tuple[ResolvedGate, ...]:
    """The gates of a manifest. DeclinedError names the one that is wrong."""
    namespace = session.flags.namespace or manifest.namespace or "default"
    try:
        return resolve(manifest.spec, past_readings.naming(manifest.spec, namespace, manifest.name, stable_hash))
    except ValueError as problem:
        raise DeclinedError(str(problem)) from problem


def _replay(session: Session, manifest: Manifest, past: Past, plan: Plan) -> tuple[Subject, Iterator[Point]]:
    analysis = manifest.spec.analysis
    thresholds = thresholds_of(manifest.spec, past.gates)
    namespace = session.flags.namespace or manifest.namespace
    subject = Subject(
        manifest.name, namespace, past.gates, thresholds, float(analysis.beta), past.source, _notes(past, plan)
    )
    tell = past_readings.progress(sys.stderr.isatty())
    told = past_readings.told(past.readings, past.intervals, tell)
    points = backtest.replay(past.gates, thresholds, plan, told, past.calibrations)
    return subject, backtest.until_decided(points) if past.to_decision else points


def _notes(past: Past, plan: Plan) -> tuple[str, ...]:
    notes = [
        f"gate {g.name} counts restarts, of which the history does not tell: it is left out of the decision"
        for g in past.gates
        if g.kind is Kind.RESTARTS and not g.acting
    ]
    if plan.share is None and not plan.by_steps and any(g.kind is Kind.SPLIT for g in past.gates):
        notes.append("the intended share of the canary is unknown, so sampleRatio has no data: give --weight PERCENT")
    if any(s.pause is not None and s.pause.duration is None for s in plan.steps):
        notes.append("a pause that waits for a person is taken to be over at once")
    return tuple(notes)


def _from_csv(request: Request, manifest: Manifest, gates: Sequence[ResolvedGate], path: str) -> Past:
    recording = past_readings.read_csv(path, [g.name for g in gates])
    interval = recording.interval(seconds(manifest.spec.analysis.interval))
    times = recording.times
    first = csv_history.moment(times[0]) - interval
    start = first + timedelta(seconds=request.warm_seconds)
    acting = backtest.absent_restarts(gates, recording.present)
    warm = list(_before(csv_history.readings(recording, gates, interval), start))
    kept = sum(1 for t in times if csv_history.moment(t) > start)
    if not kept:
        raise UsageProblemError("--warm takes all of the history: nothing is left to judge")
    return Past(
        start,
        csv_history.moment(times[-1]),
        kept,
        (r for r in csv_history.readings(recording, gates, interval) if r.end > start),
        _calibrations(request, gates, warm, interval),
        f"{path}, {recording.rows:,} rows",
        acting,
    )


def _before(found: Iterator[IntervalReading], end: datetime) -> Iterator[IntervalReading]:
    for reading in found:
        if reading.end > end:
            return
        yield reading


async def _from_prometheus(
    session: Session, request: Request, manifest: Manifest, gates: Sequence[ResolvedGate]
) -> Past:
    source, spec = request.source, manifest.spec
    server = await server_of(session, manifest, source)
    assert source.start is not None
    intervals = past_readings.grid(spec, source.start, source.end or session.world.now())
    async with prometheus_at(server) as prometheus:
        tell = past_readings.progress(sys.stderr.isatty())
        offset = timedelta(seconds=seconds(spec.analysis.query_offset))
        asked = await past_readings.read_prometheus(prometheus, gates, intervals, tell, offset)
        found = past_readings.judged(spec, asked)
        if not found:
            raise DeclinedError(
                f"{server.address} has no requests of the canary in that time",
                "name the time of a rollout with --from and --to, and its namespace with -n",
            )
        calibrations = _calibrations(request, gates, [], timedelta(seconds=seconds(spec.analysis.interval)))
        if not calibrations:
            calibrations, problem = await past_history.calibrations(prometheus, spec, gates, found[0].start)
            if problem is not None:
                raise DeclinedError(problem.message)
    acting = backtest.absent_restarts(gates, ())
    return Past(
        found[0].start, found[-1].end, len(found), iter(found), calibrations, server.address, acting, to_decision=True
    )


def _calibrations(
    request: Request, gates: Sequence[ResolvedGate], warm: Sequence[IntervalReading], interval: timedelta
) -> tuple[Calibration, ...]:
    """What the gates take from the time before: a history of equal arms, then what was given."""
    if request.baseline_csv:
        other = past_readings.read_csv(request.baseline_csv, [g.name for g in gates])
        interval = other.interval(interval.total_seconds())
        warm = list(csv_history.readings(other, gates, interval))
    return calibrations_of(gates, warm, interval, request.dispersion)


def calibrations_of(
    gates: Sequence[ResolvedGate], equal: Sequence[IntervalReading], interval: timedelta, given: float | None
) -> tuple[Calibration, ...]:
    """From intervals in which both arms were equal; none, and nothing given: nothing."""
    pairs = csv_history.pairs(gates, equal)
    counting = [g for g in gates if g.count is not None or g.rate is not None]
    found = [
        calibration.calibrate(g, csv_history.as_past(pairs.get(g.name, ()), interval))
        for g in (counting if equal or given is not None else ())
    ]
    return tempered([replace(c, source=c.source.replace(_PODS, "both arms")) for c in found], given)


def tempered(found: Sequence[Calibration], given: float | None) -> tuple[Calibration, ...]:
    """With the dispersion that was given, if one was."""
    if given is None:
        return tuple(found)
    return tuple(replace(c, dispersion=f"{given:g}", source=_GIVEN) for c in found)
