"""I/O: read the gates' counters at the ends of closed intervals. What the numbers mean is in `intake`.

Of a plain selector the raw samples are read; of any other query, such as a sum, the values at both ends. Both
can be asked again at any later time, so nothing but the last interval's end has to survive a restart.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from chaffinch_operator.canary import clock, intake, native
from chaffinch_operator.canary.gates import Kind, ResolvedGate
from chaffinch_operator.canary.intake import Reading, UnusableError
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import Blocker, GateReading, IntervalReading
from chaffinch_operator.canary.sources import Buckets, Classes, Native, Pair, Source
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.ports.prometheus import BadQuery, Prometheus, ProviderUnreachable
from chaffinch_operator.ports.queries import Selector, Track, millis, plain
from chaffinch_operator.schema import seconds

T = TypeVar("T")
MOST_PER_PASS = 20
"""Intervals that one pass catches up on after a pause of the operator."""
_PREFLIGHT_SECONDS = 10.0


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
    prometheus: Prometheus,
    gates: Sequence[ResolvedGate],
    intervals: Sequence[tuple[datetime, datetime]],
    settled: timedelta = timedelta(0),
) -> tuple[tuple[IntervalReading, ...], Blocker | None]:
    """The intervals as far as Prometheus answers, and the problem where it stopped.

    settled: spec.analysis.queryOffset, the time after an interval's end from which it may be read.
    """
    out: list[IntervalReading] = []
    for start, end in intervals:
        try:
            ask = _Ask(prometheus, start, end, settled)
            values = await _together(*(_gate(ask, g, g.source) for g in gates if g.source))
        except ProviderUnreachable as problem:
            return tuple(out), Blocker(Reason.PROVIDER_UNREACHABLE, _unreachable(problem))
        out.append(IntervalReading(start, end, tuple(values)))
    return tuple(out), None


def unasked(intervals: Sequence[tuple[datetime, datetime]]) -> tuple[IntervalReading, ...]:
    """The intervals of a rollout that asks no Prometheus: they pass, so that its steps do."""
    return tuple(IntervalReading(start, end, ()) for start, end in intervals)


async def preflight(prometheus: Prometheus, gates: Sequence[ResolvedGate], now: datetime) -> Blocker | None:
    """Before a canary starts: is every query one that can be judged? Missing data is no problem yet.

    Asked for a moment that is a round one, so that rollouts that start together ask the same.
    """
    at = clock.ceil_to_grid(now, _PREFLIGHT_SECONDS) - timedelta(seconds=_PREFLIGHT_SECONDS)
    for gate in gates:
        if gate.source is None:
            continue
        try:
            reading = await _gate(_Ask(prometheus, at, at, timedelta(0)), gate, gate.source)
        except ProviderUnreachable as problem:
            return Blocker(Reason.PROVIDER_UNREACHABLE, _unreachable(problem))
        if reading.problem and reading.problem.reason is Reason.BAD_QUERY:
            return Blocker(Reason.BAD_QUERY, f"spec.analysis.gates[{gate.name}]: {reading.problem.message}")
    return None


def _unreachable(problem: ProviderUnreachable) -> str:
    return f"spec.analysis.provider.prometheus: {problem.message}; nothing is decided until it answers"


async def _gate(ask: "_Ask", gate: ResolvedGate, source: Source) -> GateReading:
    try:
        match source:
            case Pair():
                return await _pair(ask, gate, source)
            case Classes():
                reading = await ask.raw(source.query)
                return intake.read_classes(gate.name, source, reading, both=True)
            case Buckets():
                return await _buckets(ask, gate.name, source)
            case Native():
                reading = await ask.raw(source.query, lambda tracks: native.as_buckets(source, tracks))
                return intake.read_buckets(gate.name, source, reading, both=True)
    except UnusableError as problem:
        return GateReading(gate.name, problem=problem.blocker)
    except BadQuery as problem:
        return GateReading(gate.name, problem=Blocker(Reason.BAD_QUERY, problem.message))


async def _pair(ask: "_Ask", gate: ResolvedGate, source: Pair) -> GateReading:
    """Both queries the same way, or pods that come and go would count in one of them only."""
    bad, total = plain(source.bad), plain(source.total)
    if bad is not None and total is not None:
        readings = await _together(ask.raw(bad), ask.raw(total))
    else:
        readings = await _together(ask.instants(source.bad), ask.instants(source.total))
    return intake.read_pair(gate.name, source, *readings, both=gate.kind is Kind.RATIO)


async def _buckets(ask: "_Ask", name: str, source: Buckets) -> GateReading:
    reading = await ask.raw(source.query)
    if intake.has_boundary(source, reading.tracks):
        return intake.read_buckets(name, source, reading, both=True)
    boundaries = (intake.boundary(s.labels) for s in await ask.prometheus.instant(source.boundaries_query, ask.end))
    found = sorted({b for b in boundaries if math.isfinite(b)})
    return GateReading(
        name,
        problem=Blocker(
            Reason.BAD_QUERY,
            f"threshold: {source.histogram} has no bucket boundary at "
            f"{source.threshold:g}, only {', '.join(f'{b:g}' for b in found)}: choose one of these",
        ),
    )


@dataclass(frozen=True, slots=True)
class _Ask:
    """What one interval asks."""

    prometheus: Prometheus
    start: datetime
    end: datetime
    settled: timedelta
    """Time after the end from which answers count."""

    async def raw(self, selector: Selector, seen_as: Callable[[list[Track]], list[Track]] = lambda t: t) -> Reading:
        """Raw samples. UnusableError where some may still be missing."""
        start, end = millis(self.start), millis(self.end)
        window = end - start + intake.LOOKBACK_MS
        waited = self.settled.total_seconds() if end > start else None
        tracks = seen_as(await self.prometheus.raw(selector, self.end, window, waited))
        found = intake.raw(selector.text, tracks, start, end)
        if end > start and intake.overdue(found):
            newest = await self.prometheus.newest(selector, self.end + self.settled, window, waited)
            problem = intake.late(selector.text, found, newest)
            if problem is not None:
                raise UnusableError(problem.reason, problem.message)
        return found

    async def instants(self, query: str) -> Reading:
        """Values at both ends."""
        before, after = await _together(
            self.prometheus.instant(query, self.start), self.prometheus.instant(query, self.end)
        )
        return intake.instants(query, before, after, millis(self.start), millis(self.end))


async def _together(*questions: Awaitable[T]) -> list[T]:
    """All answers. Of several failures the first in order, not in time, so that a message stays the same."""
    answers = await asyncio.gather(*questions, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return [answer for answer in answers if not isinstance(answer, BaseException)]
