"""From samples of raw counters to the events of an interval, per arm. Pure: no interpolation, integers only.

A sample belongs to the interval (start, end] that its time lies in; its events are those since the sample before it, so
that intervals that follow each other add up. Reset: a value below its predecessor counts from zero. Birth: a series
without a predecessor counts from zero only if its source (the scraped instance) was known before: a first error is an
error. Otherwise it is taken as known from now on, because Prometheus may have discovered it late, with any number of
events in it.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import ArmReading, Blocker, GateReading
from chaffinch_operator.canary.sources import Arms, Buckets, Classes, Native, Pair
from chaffinch_operator.conditions import cut
from chaffinch_operator.ports.queries import Sample, Track

LOOKBACK_MS = 150_000
"""How old a predecessor may be. Prometheus forgets an instant after twice as long, and scrapes every two minutes at
least, as its makers advise."""
Labels = tuple[tuple[str, str], ...]
Counted = list[tuple[Mapping[str, str], int]]
"""Events by series."""
LE = "le"
"""The label of a bucket's boundary."""
_QUERY = 120
"""Characters of a query in a message: the way out must fit in beside it."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What one query returned around an interval, in milliseconds since the epoch."""

    tracks: tuple[Track, ...]
    start: int
    end: int
    exact: bool
    """Raw samples from LOOKBACK_MS before the start on; otherwise values at the start and at the end."""


class UnusableError(ValueError):
    """What a query returns cannot be counted."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.blocker = Blocker(reason, message)


def source_of(labels: Mapping[str, str]) -> str:
    """What exposes a series: the scraped instance, or the pod where an aggregation dropped the instance."""
    return labels.get("instance") or labels.get("pod", "")


def instants(query: str, before: Iterable[Sample], after: Iterable[Sample], start: int, end: int) -> Reading:
    """Read values at the start and at the end. UnusableError unless all are raw counters."""
    values: dict[Labels, dict[int, float]] = {}
    for at, samples in ((start, before), (end, after)):
        for one in samples:
            values.setdefault(tuple(sorted(one.labels.items())), {})[at] = one.value
    tracks = tuple(Track(dict(key), tuple(found), tuple(found.values())) for key, found in values.items())
    return Reading(tuple(_checked(query, track) for track in tracks), start, end, exact=False)


def raw(query: str, tracks: Iterable[Track], start: int, end: int) -> Reading:
    """Read samples, in order and each once. UnusableError unless all are raw counters that say one thing at a time."""
    by_labels: dict[Labels, list[Track]] = {}
    for track in tracks:
        if track.histograms:
            raise UnusableError(
                Reason.BAD_QUERY,
                f"`{cut(query, _QUERY)}` returned native histograms, which latency.format: Native reads",
            )
        by_labels.setdefault(tuple(sorted(track.labels.items())), []).append(track)
    since = start - LOOKBACK_MS
    checked = (_checked(query, _in_order(query, same, since, end)) for same in by_labels.values())
    return Reading(tuple(track for track in checked if track.times), start, end, exact=True)


def overdue(reading: Reading) -> dict[str, int]:
    """The sources a sample of which should have come by the end and is not there, with the time of their newest one.

    Each is expected to go on as it did; one that was seen only once, within the length of an interval. Such a source is
    gone, or its samples are late: the reading cannot tell.
    """
    times = _times(reading.tracks)
    cadences = {source: median(b - a for a, b in pairwise(found)) for source, found in times.items() if len(found) > 1}
    usual = min(cadences.values(), default=reading.end - reading.start)
    return {s: found[-1] for s, found in times.items() if found[-1] + cadences.get(s, usual) <= reading.end}


def late(query: str, reading: Reading, newest: Iterable[Sample]) -> Blocker | None:
    """The problem that samples of the interval may still come, if one of the overdue sources is neither ahead nor gone.

    newest: the time of the newest sample by series, in seconds, without those that are gone.
    """
    latest: dict[str, int] = {}
    for one in newest:
        source = source_of(one.labels)
        latest[source] = max(latest.get(source, 0), round(one.value * 1000))
    for source, seen in sorted(overdue(reading).items()):
        if source in latest and latest[source] <= reading.end:
            return Blocker(
                Reason.NO_DATA,
                f"`{cut(query, _QUERY)}`: {source or 'a series'} was last scraped {(reading.end - seen) / 1000:g} s "
                "before the interval's end: scrapes are late or missing, or a clock is wrong; a larger "
                "analysis.queryOffset waits longer",
            )
    return None


def increments(reading: Reading, *others: Reading, parts: str = "") -> Counted:
    """Events of each series in the interval.

    others: readings of the same gate, by which sources are known too. parts: a label whose values are parts of one
    thing, such as the buckets of a histogram: where one was reset, all were, though the others may have grown since.
    """
    sources = _times([track for each in (reading, *others) for track in each.tracks])
    resets: dict[Labels, list[tuple[int, int]]] = {}
    for track in reading.tracks:
        resets.setdefault(_whole(track, parts), []).extend(_resets(track))
    return [
        (track.labels, _events(track, sources[source_of(track.labels)], resets[_whole(track, parts)], reading))
        for track in reading.tracks
    ]


def _events(track: Track, known: Sequence[int], resets: Sequence[tuple[int, int]], reading: Reading) -> int:
    """What counts at a sample depends on nothing older than the lookback, so that any interval that has it agrees."""
    lookback = LOOKBACK_MS if reading.exact else math.inf
    count, before, value_before = 0.0, -math.inf, 0.0
    for at, value in zip(track.times, track.values, strict=True):
        if at > reading.start:
            if at - before <= lookback:
                reset = any(before <= old and new <= at for old, new in resets)
                count += value if reset else value - value_before
            elif _was_known(known, at, lookback):
                count += value
        before, value_before = at, value
    return int(count)


def _whole(track: Track, parts: str) -> Labels:
    return tuple(sorted((name, value) for name, value in track.labels.items() if name != parts))


def _resets(track: Track) -> list[tuple[int, int]]:
    """The times between which the counter went down."""
    samples = zip(track.times, track.values, strict=True)
    return [(before, at) for (before, old), (at, new) in pairwise(samples) if new < old]


def _was_known(known: Sequence[int], at: int, lookback: float) -> bool:
    position = bisect_left(known, at)
    return position > 0 and at - known[position - 1] <= lookback


def _in_order(query: str, tracks: Sequence[Track], since: int, end: int) -> Track:
    """One series from all that has its labels. UnusableError where it contradicts itself."""
    values: dict[int, float] = {}
    pairs = (pair for track in tracks for pair in zip(track.times, track.values, strict=True))
    for at, value in pairs:
        if since < at <= end and values.setdefault(at, value) != value and not math.isnan(value):
            raise UnusableError(
                Reason.NO_DATA,
                f"`{cut(query, _QUERY)}` has two values of one series at one time, {values[at]:g} and {value:g}: "
                "is it scraped twice?",
            )
    times = sorted(values)
    return Track(tracks[0].labels, tuple(times), tuple(values[at] for at in times))


def _checked(query: str, track: Track) -> Track:
    """UnusableError unless every value is a whole number at or above zero."""
    text = cut(query, _QUERY)
    for value in track.values:
        if math.isnan(value) or math.isinf(value):
            raise UnusableError(Reason.BAD_QUERY, f"`{text}` returned {value}: it must return raw counters")
        if value < 0 or value != math.floor(value):
            raise UnusableError(
                Reason.BAD_QUERY,
                f"`{text}` returned {value:g}, which is no raw counter: leave out rate(), increase() and division",
            )
    return track


def _times(tracks: Iterable[Track]) -> dict[str, list[int]]:
    found: dict[str, set[int]] = {}
    for track in tracks:
        found.setdefault(source_of(track.labels), set()).update(track.times)
    return {source: sorted(times) for source, times in found.items()}


def read_pair(gate: str, source: Pair, bad: Reading, total: Reading, *, both: bool = False) -> GateReading:
    """A gate of two queries. both: without data of stable there is nothing to compare."""
    arms = _no_events()
    for position, reading, other in ((0, bad, total), (1, total, bad)):
        for labels, count in increments(reading, other):
            if arm := source.arms.of(labels.get(source.arms.label, "")):
                arms[arm][position] += count
    return _gate_reading(gate, source.total, source.arms, total, arms, both=both)


def read_classes(gate: str, source: Classes, reading: Reading, *, both: bool = False) -> GateReading:
    """A gate of one query whose series are told apart by a label."""
    return _split(
        gate,
        source.query.text,
        source.arms,
        reading,
        source.label,
        lambda labels, count: (count if labels.get(source.label, "").startswith(source.bad_prefix) else 0, count),
        both=both,
    )


def read_buckets(gate: str, source: Buckets | Native, reading: Reading, *, both: bool = False) -> GateReading:
    """A gate of two buckets of a histogram. The caller has seen to it that the threshold is a boundary."""
    return _split(
        gate,
        source.query.text,
        source.arms,
        reading,
        LE,
        lambda labels, count: (count, count) if labels.get(LE) == "+Inf" else (-count, 0),
        both=both,
    )


def has_boundary(source: Buckets, tracks: Sequence[Track]) -> bool:
    """Whether the histogram has the threshold as a boundary; True as long as there is no series at all."""
    return not tracks or any(boundary(track.labels) == source.threshold for track in tracks)


def boundary(labels: Mapping[str, str]) -> float:
    """The bucket boundary of a series; NaN without one."""
    try:
        return float(labels.get(LE, "nan"))
    except ValueError:
        return math.nan


def _split(
    gate: str,
    query: str,
    by: Arms,
    reading: Reading,
    parts: str,
    share: Callable[[Mapping[str, str], int], tuple[int, int]],
    *,
    both: bool,
) -> GateReading:
    """A gate of one query. share: bad and all events among those of a series."""
    arms = _no_events()
    for labels, count in increments(reading, parts=parts):
        if arm := by.of(labels.get(by.label, "")):
            bad, total = share(labels, count)
            arms[arm][0] += bad
            arms[arm][1] += total
    return _gate_reading(gate, query, by, reading, arms, both=both)


def _no_events() -> dict[str, list[int]]:
    """Bad and all events by arm."""
    return {arm: [0, 0] for arm in ("canary", "baseline", "other")}


def _gate_reading(
    gate: str, query: str, by: Arms, reading: Reading, arms: Mapping[str, Sequence[int]], *, both: bool
) -> GateReading:
    seen = [t.labels for t in reading.tracks if reading.exact or reading.end in t.times]
    problem = _problem(query, by, seen, both=both)
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


def _problem(query: str, by: Arms, series: Sequence[Mapping[str, str]], *, both: bool) -> Blocker | None:
    text = cut(query, _QUERY)
    if not series:
        return Blocker(Reason.NO_DATA, f"`{text}` returns nothing")
    if not any(by.label in labels for labels in series):
        return Blocker(
            Reason.BAD_QUERY,
            f"`{text}` returns series without the label {by.label}: keep it, as in sum by ({by.label}) (...)",
        )
    arms = {by.of(labels.get(by.label, "")) for labels in series}
    if "canary" not in arms:
        whose = "only of stable" if arms & {"baseline", "other"} else "none of them of stable or of the canary"
        return Blocker(Reason.NO_DATA, f"`{text}` returns {len(series)} series, {whose}: the canary has none yet")
    if both and "baseline" not in arms:
        message = f"`{text}` returns {len(series)} series, none of them of stable: there is nothing to compare with"
        return Blocker(Reason.NO_DATA, message)
    return None
