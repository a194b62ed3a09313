"""`backtest --aa N`: how often the gates of a spec would have rolled back a version that equals stable."""

import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from chaffinch_operator.canary import calibration, csv_history, history, trials
from chaffinch_operator.canary.gates import Kind, ResolvedGate
from chaffinch_operator.canary.snapshot import Calibration
from chaffinch_operator.canary.status import GateStatus
from chaffinch_operator.canary.trials import Pairs, Rate, Trials
from chaffinch_operator.cli import past_readings, words
from chaffinch_operator.cli.backtest import (
    Request,
    calibrations_of,
    gates_of,
    one_source,
    server_of,
    tempered,
    thresholds_of,
)
from chaffinch_operator.cli.failures import OK, DeclinedError, UsageProblemError
from chaffinch_operator.cli.login import prometheus_at
from chaffinch_operator.cli.manifest import Manifest, load
from chaffinch_operator.cli.session import Session
from chaffinch_operator.ports.prometheus import ProviderUnreachable
from chaffinch_operator.schema import seconds
from chaffinch_stats.dispersion import Dispersion

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to resample."""

    rollouts: int
    length_seconds: float | None = None
    """Of a pseudo-rollout; default: promotion.maxDuration."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it, and what noise the history has."""

    trials: Trials
    gates: Sequence[ResolvedGate]
    statuses: Mapping[str, GateStatus]
    noise: Mapping[str, Dispersion]
    alpha: float
    seed: int

    @property
    def holds(self) -> bool:
        """Whether the trials are in keeping with alpha."""
        return self.trials.any_gate.limits[0] <= self.alpha


@dataclass(frozen=True, slots=True)
class Equal:
    """A history of equal arms, and what gates take from it."""

    pairs: Mapping[str, Pairs]
    interval: timedelta
    calibrations: tuple[Calibration, ...]


async def run(session: Session, request: Request, wanted: Wanted) -> int:
    """Resample, and print."""
    manifest = load(request.file, request.rollout)
    gates = gates_of(session, manifest)
    if manifest.spec.analysis.mode == "GroupSequential":
        raise UsageProblemError(
            "--aa tries gates that judge at any time; the spec has analysis.mode: GroupSequential",
            "see make simulations for planned looks, or set analysis.mode: Anytime",
        )
    source = one_source(request.source)
    if source.csv is not None:
        equal = _from_csv(manifest, gates, request, source.csv)
    else:
        equal = await _from_prometheus(session, manifest, gates, request)
    result = _trials(manifest, gates, equal, wanted)
    if session.wants_data:
        session.print_data(document(manifest.name, result))
    else:
        for line in sentences(result):
            session.say(line)
    return OK


def _from_csv(manifest: Manifest, gates: Sequence[ResolvedGate], request: Request, path: str) -> Equal:
    recording = past_readings.read_csv(path, [g.name for g in gates])
    interval = recording.interval(seconds(manifest.spec.analysis.interval))
    found = list(csv_history.readings(recording, gates, interval))
    calibrations = calibrations_of(gates, found, interval, request.dispersion)
    return Equal(csv_history.pairs(gates, found), interval, calibrations)


async def _from_prometheus(
    session: Session, manifest: Manifest, gates: Sequence[ResolvedGate], request: Request
) -> Equal:
    """Stable's own history: two halves of its pods are the arms."""
    spec, source = manifest.spec, request.source
    end = source.end or session.world.now()
    assert source.start is not None
    server = await server_of(session, manifest, source)
    span = max(seconds(spec.analysis.interval), (end - source.start).total_seconds())
    asked = [replace(g, auto=True, history_seconds=span) for g in gates if g.kind is Kind.RATIO]
    async with prometheus_at(server) as prometheus:
        try:
            found = {g.name: await history.read(prometheus, spec, g, end) for g in asked}
        except ProviderUnreachable as problem:
            raise DeclinedError(problem.message, "name a server that can be reached from here") from problem
    if unread := next((f"gate {n}: {h.problem}" for n, h in found.items() if h.problem), ""):
        raise DeclinedError(unread)
    if not any(h.halves for h in found.values()):
        raise DeclinedError(
            f"{server.address} has no history of two pods of stable in that time",
            "the arms of --aa are two halves of stable's pods, by gates that count by pod; else export a CSV",
        )
    longest = max(len(h.halves) for h in found.values())
    pairs: dict[str, Pairs] = {n: [*h.halves, *[None] * (longest - len(h.halves))] for n, h in found.items()}
    step = next(iter(found.values())).step_seconds
    calibrations = tuple(calibration.calibrate(g, found[g.name]) for g in gates if g.name in found)
    return Equal(pairs, timedelta(seconds=step), tempered(calibrations, request.dispersion))


def _trials(manifest: Manifest, gates: Sequence[ResolvedGate], equal: Equal, wanted: Wanted) -> Result:
    spec = manifest.spec
    recorded = calibration.record(gates, (), equal.calibrations)
    statuses = {s.name: calibration.fixed(g, s) for g, s in zip(gates, recorded, strict=True)}
    judged = trials.judged([calibration.settled(g, statuses[g.name]) for g in gates], equal.pairs)
    if not judged:
        raise DeclinedError("the history has no interval in which an acting ratio gate saw both arms")
    thresholds = thresholds_of(spec, gates)
    ran = trials.run(
        judged,
        equal.pairs,
        thresholds.harm,
        rollouts=wanted.rollouts,
        length=_length(spec.promotion.max_duration, wanted, equal.interval),
        block=trials.block_of(equal.pairs, judged),
        chance=random.Random(wanted.seed),  # noqa: S311 -- a simulation, repeatable by its seed
        tell=past_readings.progress(sys.stderr.isatty(), "pseudo-rollouts"),
    )
    noise = {g.name: trials.noise(equal.pairs[g.name], g.count.method) for g in judged if g.count}
    return Result(ran, judged, statuses, noise, thresholds.alpha, wanted.seed)


def _length(max_duration: str, wanted: Wanted, interval: timedelta) -> int:
    whole = seconds(max_duration) if wanted.length_seconds is None else wanted.length_seconds
    return max(1, round(whole / interval.total_seconds()))


def document(name: str, result: Result) -> Document:
    """The JSON of a calibration; documented in docs/backtest.md."""
    ran = result.trials
    return {
        "kind": "CalibrationResult",
        "version": 1,
        "name": name,
        "alpha": result.alpha,
        **_rate(ran.any_gate),
        "withinAlpha": result.holds,
        "gates": [
            {
                "name": g.name,
                **_rate(ran.by_gate[g.name]),
                "dispersion": float(result.statuses[g.name].dispersion),
                "dispersionSource": result.statuses[g.name].dispersion_source,
                "method": result.statuses[g.name].method,
                "advised": _advice(result.noise[g.name]),
            }
            for g in result.gates
        ],
        "scheme": {
            "intervals": ran.length,
            "block": ran.block,
            "historyIntervals": ran.history,
            "independentWindows": ran.windows,
            "seed": result.seed,
        },
    }


def _rate(rate: Rate) -> Document:
    return {
        "rollouts": rate.trials,
        "falseAlarms": rate.alarms,
        "falseAlarmRate": rate.share,
        "interval": list(rate.limits),
    }


def _advice(noise: Dispersion) -> Document:
    return {
        "dispersion": noise.phi,
        "measured": noise.measured,
        "block": noise.block_intervals,
        "blocks": noise.blocks,
        "intervals": noise.intervals,
        "autocorrelation": noise.autocorrelation_intervals,
        "sufficient": noise.sufficient,
    }


def sentences(result: Result) -> list[str]:
    """The same for people."""
    ran = result.trials
    verdict = "in keeping with" if result.holds else "more than"
    lines = [
        f"False alarms: {_told(ran.any_gate)}, {verdict} alpha {words.percent(result.alpha)}",
        (
            f"Each pseudo-rollout: {ran.length:,} intervals, in blocks of {ran.block:,} drawn from {ran.history:,} "
            f"(seed {result.seed}); the history holds {ran.windows:,} that do not overlap"
        ),
    ]
    if ran.windows < 2:
        lines.append("note: the history is short: what it does not show, the rate does not tell")
    for gate in result.gates:
        status, noise = result.statuses[gate.name], result.noise[gate.name]
        lines += [
            "",
            f"{gate.name}: {_told(ran.by_gate[gate.name])}",
            f"    judged with dispersion {status.dispersion} ({status.dispersion_source}), method {status.method}",
            (
                f"    advised dispersion {noise.phi:.3g} (measured {noise.measured:.3g} in {noise.blocks:,} blocks of "
                f"{noise.block_intervals:,}){'' if noise.sufficient else ': too little history to rely on'}"
            ),
        ]
    return lines


def _told(rate: Rate) -> str:
    low, high = rate.limits
    level = words.percent(1.0 - trials.LEVEL)
    return (
        f"{rate.alarms:,} of {rate.trials:,} ({words.percent(rate.share)}; "
        f"{level} interval {words.percent(low)} to {words.percent(high)})"
    )
