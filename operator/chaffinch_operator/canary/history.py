"""I/O: read stable's counters before the candidate, on a grid of times. What they mean is in `past` and `calibration`.

The window ends where the candidate came, so it can be asked again after a restart, with the same answer.
"""

import math
from collections.abc import Sequence
from datetime import datetime, timedelta

from chaffinch_operator.canary import calibration, clock, past
from chaffinch_operator.canary.gates import ResolvedGate
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.past import History, Track
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import Blocker, Calibration
from chaffinch_operator.ports.prometheus import BadQuery, ProviderUnreachable, Ranges, Stream
from chaffinch_operator.schema import seconds

MOST_POINTS = 500
"""Of one series: a longer history is read in longer steps."""


async def calibrations(
    prometheus: Ranges, spec: CanaryRolloutSpec, gates: Sequence[ResolvedGate], until: datetime
) -> tuple[tuple[Calibration, ...], Blocker | None]:
    """What each gate takes from the time before `until`; nothing and the problem unless Prometheus answers for all."""
    found = []
    for gate in gates:
        try:
            history = await read(prometheus, spec, gate, until)
        except ProviderUnreachable as problem:
            asked = f"asked for stable's history (minBaselineHistory of gate {gate.name})"
            message = (
                f"spec.analysis.provider.prometheus: {problem.message}, {asked}; nothing is decided until it answers"
            )
            return (), Blocker(Reason.PROVIDER_UNREACHABLE, message)
        found.append(calibration.calibrate(gate, history))
    return tuple(found), None


def grid(spec: CanaryRolloutSpec, gate: ResolvedGate, until: datetime) -> tuple[datetime, timedelta, int]:
    """Last point, step and number of steps: as many whole intervals a step as keep to MOST_POINTS."""
    interval = seconds(spec.analysis.interval)
    step = interval * max(1, math.ceil(gate.history_seconds / interval / (MOST_POINTS - 1)))
    ripe = until - timedelta(seconds=seconds(spec.analysis.query_offset))
    last = clock.ceil_to_grid(ripe, interval) - timedelta(seconds=interval)
    return last, timedelta(seconds=step), max(1, math.floor(gate.history_seconds / step))


async def read(prometheus: Ranges, spec: CanaryRolloutSpec, gate: ResolvedGate, until: datetime) -> History:
    """Return what stable did before `until`, for `gate.history_seconds`. Raises ProviderUnreachable."""
    last, step, count = grid(spec, gate, until)
    if gate.source is None or not calibration.needs_history(gate):
        return History(step.total_seconds())
    start = last - count * step
    try:
        answers = [await prometheus.range(query, start, last, step) for query in past.queries(gate.source)]
    except BadQuery as problem:
        return History(step.total_seconds(), problem=f"stable's history cannot be read: {problem.message}")
    tracks = [[track(stream, start, step, count + 1) for stream in answer] for answer in answers]
    return past.read(gate.source, tracks, step.total_seconds())


def track(stream: Stream, start: datetime, step: timedelta, points: int) -> Track:
    """The series at every point of the grid; what is no whole number of events is no value."""
    values = [math.nan] * points
    for at, value in stream.points:
        place = round((at - start.timestamp()) / step.total_seconds())
        if 0 <= place < points and math.isfinite(value) and value >= 0:
            values[place] = value
    return Track(stream.labels, values)
