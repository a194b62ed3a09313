"""I/O: read the gates' counters at the ends of closed intervals. What the numbers mean is in `intake`.

An interval is read by two instant queries, at its start and at its end. Both can be asked again at any later time, so
nothing but the last interval's end has to survive a restart.
"""

import asyncio
import math
from collections.abc import Awaitable, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

from chaffinch_operator.canary import clock, intake
from chaffinch_operator.canary.gates import ResolvedGate
from chaffinch_operator.canary.intake import NotCounterError, Reading, Series
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.schema import seconds
from chaffinch_operator.canary.snapshot import Blocker, GateReading, IntervalReading
from chaffinch_operator.canary.sources import Buckets, Classes, Pair, Source
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.ports.prometheus import BadQuery, Prometheus, ProviderUnreachable

T = TypeVar("T")
MOST_PER_PASS = 20
"""Intervals that one pass catches up on after a pause of the operator."""


def due(spec: CanaryRolloutSpec, status: CanaryRolloutStatus, now: datetime) -> list[tuple[datetime, datetime]]:
    """Closed intervals that were not read yet, oldest first: those whose end is queryOffset ago."""
    start = clock.parse(status.interval_end)
    if start is None:
        return []
    length = timedelta(seconds=seconds(spec.analysis.interval))
    ripe = now - timedelta(seconds=seconds(spec.analysis.query_offset))
    out: list[tuple[datetime, datetime]] = []
    while start + length <= ripe and len(out) < MOST_PER_PASS:
        out.append((start, start + length))
        start += length
    return out


async def read(
    prometheus: Prometheus, gates: Sequence[ResolvedGate], intervals: Sequence[tuple[datetime, datetime]]
) -> tuple[tuple[IntervalReading, ...], Blocker | None]:
    """The intervals as far as Prometheus answers, and the problem where it stopped."""
    out: list[IntervalReading] = []
    for start, end in intervals:
        try:
            values = await _together(*(_gate(prometheus, g, g.source, start, end) for g in gates if g.source))
        except ProviderUnreachable as problem:
            return tuple(out), Blocker(Reason.PROVIDER_UNREACHABLE, _unreachable(problem))
        out.append(IntervalReading(start, end, tuple(values)))
    return tuple(out), None


def unasked(intervals: Sequence[tuple[datetime, datetime]]) -> tuple[IntervalReading, ...]:
    """The intervals of a rollout that asks no Prometheus: they pass, so that its steps do."""
    return tuple(IntervalReading(start, end, ()) for start, end in intervals)


async def preflight(prometheus: Prometheus, gates: Sequence[ResolvedGate], now: datetime) -> Blocker | None:
    """Before a canary starts: is every query one that can be judged? Missing data is no problem yet."""
    for gate in gates:
        if gate.source is None:
            continue
        try:
            reading = await _gate(prometheus, gate, gate.source, now, now)
        except ProviderUnreachable as problem:
            return Blocker(Reason.PROVIDER_UNREACHABLE, _unreachable(problem))
        if reading.problem and reading.problem.reason is Reason.BAD_QUERY:
            return Blocker(Reason.BAD_QUERY, f"spec.analysis.gates[{gate.name}]: {reading.problem.message}")
    return None


def _unreachable(problem: ProviderUnreachable) -> str:
    return f"spec.analysis.provider.prometheus: {problem.message}; nothing is decided until it answers"


async def _gate(
    prometheus: Prometheus, gate: ResolvedGate, source: Source, start: datetime, end: datetime
) -> GateReading:
    try:
        match source:
            case Pair():
                bad, total = await _together(
                    _reading(prometheus, source.bad, start, end), _reading(prometheus, source.total, start, end)
                )
                return intake.read_pair(gate.name, source, bad, total)
            case Classes():
                return intake.read_classes(gate.name, source, await _reading(prometheus, source.query, start, end))
            case Buckets():
                return await _buckets(prometheus, gate.name, source, start, end)
    except (NotCounterError, BadQuery) as problem:
        return GateReading(gate.name, problem=Blocker(Reason.BAD_QUERY, str(problem)))


async def _buckets(prometheus: Prometheus, name: str, source: Buckets, start: datetime, end: datetime) -> GateReading:
    reading = await _reading(prometheus, source.query, start, end)
    if intake.has_boundary(source, reading.after):
        return intake.read_buckets(name, source, reading)
    boundaries = map(intake.boundary, await _series(prometheus, source.boundaries_query, end))
    found = sorted({b for b in boundaries if math.isfinite(b)})
    return GateReading(
        name,
        problem=Blocker(
            Reason.BAD_QUERY,
            f"threshold: {source.histogram} has no bucket boundary at "
            f"{source.threshold:g}, only {', '.join(f'{b:g}' for b in found)}: choose one of these",
        ),
    )


async def _reading(prometheus: Prometheus, query: str, start: datetime, end: datetime) -> Reading:
    before, after = await _together(_series(prometheus, query, start), _series(prometheus, query, end))
    intake.check_counters(query, before)
    intake.check_counters(query, after)
    return Reading(before, after)


async def _series(prometheus: Prometheus, query: str, at: datetime) -> tuple[Series, ...]:
    return tuple(
        Series({k: v for k, v in s.labels.items() if k != "__name__"}, s.value)
        for s in await prometheus.instant(query, at)
    )


async def _together(*questions: Awaitable[T]) -> list[T]:
    """All answers. Of several failures the first in order, not in time, so that a message stays the same."""
    answers = await asyncio.gather(*questions, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]
