"""From two readings of raw counters to the events between them, per arm. Pure: no interpolation, integers only.

Reset: a value below its predecessor counts from zero. Birth: a series that was not there before counts from zero only
if its source (the scraped instance) was there before: a first error is an error. Otherwise it is taken as known from
now on, because Prometheus may have discovered it late, with any number of events in it.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import ArmReading, Blocker, GateReading
from chaffinch_operator.canary.sources import Arms, Buckets, Classes, Pair
from chaffinch_operator.conditions import cut

Labels = tuple[tuple[str, str], ...]
_QUERY = 120
"""Characters of a query in a message: the way out must fit in beside it."""


@dataclass(frozen=True, slots=True)
class Series:
    """One series at one time."""

    labels: Mapping[str, str]
    value: float

    @property
    def key(self) -> Labels:
        """Its identity."""
        return tuple(sorted(self.labels.items()))

    @property
    def source(self) -> str:
        """What exposes it: the scraped instance, or the pod where an aggregation dropped the instance."""
        return self.labels.get("instance") or self.labels.get("pod", "")


@dataclass(frozen=True, slots=True)
class Reading:
    """The same query at the start and at the end of an interval."""

    before: tuple[Series, ...]
    after: tuple[Series, ...]


class NotCounterError(ValueError):
    """A query returns something that is no raw counter."""


def check_counters(query: str, series: Iterable[Series]) -> None:
    """NotCounterError unless every value is a whole number at or above zero."""
    text = cut(query, _QUERY)
    for one in series:
        value = one.value
        if math.isnan(value) or math.isinf(value):
            raise NotCounterError(f"`{text}` returned {value}: it must return raw counters")
        if value < 0 or value != math.floor(value):
            raise NotCounterError(
                f"`{text}` returned {value:g}, which is no raw counter: leave out rate(), increase() and division"
            )


def increments(reading: Reading, known_sources: frozenset[str]) -> list[tuple[Mapping[str, str], int]]:
    """Events of each series between the two readings.

    known_sources: sources seen at the start of the interval in any query of the gate.
    """
    before = {s.key: s.value for s in reading.before}
    out = []
    for one in reading.after:
        start = before.get(one.key)
        if start is None:
            start = 0.0 if one.source in known_sources else one.value
        out.append((one.labels, int(one.value - start if one.value >= start else one.value)))
    return out


def read_pair(gate: str, source: Pair, bad: Reading, total: Reading) -> GateReading:
    """A gate of two queries."""
    known = _sources(bad.before, total.before)
    arms = _no_events()
    for position, reading in ((0, bad), (1, total)):
        for labels, count in increments(reading, known):
            arm = source.arms.of(labels.get(source.arms.label, ""))
            if arm:
                arms[arm][position] += count
    return _gate_reading(gate, source.total, source.arms, total.after, arms)


def read_classes(gate: str, source: Classes, reading: Reading) -> GateReading:
    """A gate of one query whose series are told apart by a label."""
    arms = _no_events()
    for labels, count in increments(reading, _sources(reading.before)):
        arm = source.arms.of(labels.get(source.arms.label, ""))
        if arm:
            arms[arm][1] += count
            arms[arm][0] += count if labels.get(source.label) == source.bad_value else 0
    return _gate_reading(gate, source.query, source.arms, reading.after, arms)


def read_buckets(gate: str, source: Buckets, reading: Reading) -> GateReading:
    """A gate of two buckets of a histogram. The caller has seen to it that the threshold is a boundary."""
    arms = _no_events()
    for labels, count in increments(reading, _sources(reading.before)):
        arm = source.arms.of(labels.get(source.arms.label, ""))
        if arm:
            infinite = labels.get("le") == "+Inf"
            arms[arm][1] += count if infinite else 0
            arms[arm][0] += count if infinite else -count
    return _gate_reading(gate, source.query, source.arms, reading.after, arms)


def has_boundary(source: Buckets, series: Sequence[Series]) -> bool:
    """Whether the histogram has the threshold as a boundary; True as long as there is no series at all."""
    return not series or any(boundary(s) == source.threshold for s in series)


def boundary(series: Series) -> float:
    """The series' bucket boundary; NaN without one."""
    try:
        return float(series.labels.get("le", "nan"))
    except ValueError:
        return math.nan


def _no_events() -> dict[str, list[int]]:
    """Bad and all events by arm."""
    return {arm: [0, 0] for arm in ("canary", "baseline", "other")}


def _sources(*readings: Sequence[Series]) -> frozenset[str]:
    return frozenset(s.source for reading in readings for s in reading)


def _gate_reading(
    gate: str, query: str, by: Arms, series: Sequence[Series], arms: Mapping[str, Sequence[int]]
) -> GateReading:
    problem = _problem(query, by, series)
    for arm, (bad, total) in arms.items():
        if not problem and not 0 <= bad <= total:
            problem = Blocker(
                Reason.BAD_QUERY,
                f"{arm} has {bad} bad of {total} events: the two counters of `{cut(query, _QUERY)}` "
                "do not belong together; every bad event must also be counted in the total",
            )
    if problem:
        return GateReading(gate, problem=problem)
    canary, baseline, (_, others) = arms["canary"], arms["baseline"], arms["other"]
    return GateReading(gate, ArmReading(*canary), ArmReading(*baseline), other_requests=others)


def _problem(query: str, by: Arms, series: Sequence[Series]) -> Blocker | None:
    text = cut(query, _QUERY)
    if not series:
        return Blocker(Reason.NO_DATA, f"`{text}` returns nothing")
    if not any(by.label in s.labels for s in series):
        return Blocker(
            Reason.BAD_QUERY,
            f"`{text}` returns series without the label {by.label}: keep it, as in sum by ({by.label}) (...)",
        )
    arms = {by.of(s.labels.get(by.label, "")) for s in series}
    if "canary" not in arms:
        whose = "only of stable" if arms & {"baseline", "other"} else "none of them of stable or of the canary"
        return Blocker(Reason.NO_DATA, f"`{text}` returns {len(series)} series, {whose}: the canary has none yet")
    return None
