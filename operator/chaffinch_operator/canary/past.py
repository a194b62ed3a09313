"""From counters on a grid of times to what stable did step by step, before the candidate came. Pure.

The counters are summed by pod and instance in the query itself: the answer stays small, whatever labels a metric has. A
step counts where the counter is there at both of its ends and did not fall; a reset, a gap or a pod that comes or goes
leaves its step out, for that pod alone. Here that costs nothing: a history is a sample, unlike the evidence.
"""

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from chaffinch_operator.canary.sources import Arms, Buckets, Classes, Native, Pair, Source
from chaffinch_stats import ArmCounts, Interval

Unit = tuple[str, str]
"""What counts by itself: pod and scraped instance."""
Values = Sequence[float]
"""Shape (points,); NaN where there is none."""
Levels = Sequence[tuple[float, float] | None]
"""Shape (points,): bad and all events of a unit up to each point; None where it was not seen."""
_BY_POD = "pod"


@dataclass(frozen=True, slots=True)
class Track:
    """One series on the grid."""

    labels: Mapping[str, str]
    values: Values


@dataclass(frozen=True, slots=True)
class History:
    """What stable did in equal steps.

    Attributes:
        step_seconds: length of a step.
        whole: shape (steps,), all of stable; None where it was not seen.
        halves: shape (steps,), two halves of stable's pods as if they were two arms; empty without two pods.
        problem: why nothing could be read, else empty.

    """

    step_seconds: float
    whole: tuple[ArmCounts | None, ...] = ()
    halves: tuple[Interval, ...] = ()
    problem: str = ""

    @property
    def seen_seconds(self) -> float:
        """How long stable was seen."""
        return self.step_seconds * sum(1 for arm in self.whole if arm is not None)

    @property
    def sum(self) -> ArmCounts:
        """All that was seen."""
        seen = [arm for arm in self.whole if arm is not None]
        return ArmCounts(sum(arm.bad for arm in seen), sum(arm.total for arm in seen))


def queries(source: Source) -> tuple[str, ...]:
    """What to ask over a range, in the order in which `read` wants the answers."""
    match source:
        case Pair():
            return _summed(source.bad, source.arms), _summed(source.total, source.arms)
        case Classes():
            return (_summed(source.query.text, source.arms, source.label),)
        case Buckets():
            return (_summed(source.query.text, source.arms, "le"),)
        case Native():
            return ()


def _summed(query: str, arms: Arms, *more: str) -> str:
    """The line ends keep a comment at the end of a query from swallowing the bracket."""
    by = ", ".join(dict.fromkeys((arms.label, _BY_POD, "instance", *more)))
    return f"sum by ({by}) (\n{query}\n)"


def read(source: Source, answers: Sequence[Sequence[Track]], step_seconds: float) -> History:
    """The history of a gate from the answers to its `queries`."""
    if isinstance(source, Native):
        return History(step_seconds, problem="no history is read of native histograms")
    steps = {unit: _steps(levels) for unit, levels in _levels(source, answers).items()}
    steps = {unit: counted for unit, counted in steps.items() if any(counted)}
    if not steps:
        return History(step_seconds)
    whole = tuple(_sum(at) for at in zip(*steps.values(), strict=True))
    first, second = _split(source.arms, steps)
    if not first or not second:
        return History(step_seconds, whole)
    pairs = zip(_together(steps, first), _together(steps, second), whole, strict=True)
    nothing = ArmCounts(0, 0)
    halves = tuple(Interval(one or nothing, other or nothing) for one, other, seen in pairs if seen is not None)
    return History(step_seconds, whole, halves)


def _levels(source: Pair | Classes | Buckets, answers: Sequence[Sequence[Track]]) -> dict[Unit, Levels]:
    """The counters of stable's units."""
    match source:
        case Pair():
            bad, total = (_by_unit(source.arms, answer, lambda _: "") for answer in answers)
            return {unit: _of_pair(bad.get(unit, {}), values) for unit, values in total.items()}
        case Classes():
            classes = _by_unit(source.arms, answers[0], lambda labels: labels.get(source.label, ""))
            return {unit: _of_classes(values, source.bad_prefix) for unit, values in classes.items()}
        case Buckets():
            buckets = _by_unit(source.arms, answers[0], lambda labels: str(_boundary(labels)))
            return {unit: _of_buckets(values, str(source.threshold)) for unit, values in buckets.items()}


def _by_unit(
    arms: Arms, tracks: Iterable[Track], part: Callable[[Mapping[str, str]], str]
) -> dict[Unit, dict[str, Values]]:
    """Stable's series by unit and part; of two spellings of a part, at each point the one there is."""
    out: dict[Unit, dict[str, Values]] = {}
    for track in tracks:
        if not arms.of_stable(track.labels.get(arms.label, "")):
            continue
        parts = out.setdefault((track.labels.get(_BY_POD, ""), track.labels.get("instance", "")), {})
        name = part(track.labels)
        before = parts.get(name)
        parts[name] = track.values if before is None else _either(before, track.values)
    return out


def _either(one: Values, other: Values) -> Values:
    return [b if math.isnan(a) else a for a, b in zip(one, other, strict=True)]


def _boundary(labels: Mapping[str, str]) -> float:
    try:
        return float(labels.get("le", "nan"))
    except ValueError:
        return math.nan


def _of_pair(bad: Mapping[str, Values], total: Mapping[str, Values]) -> Levels:
    values = total[""]
    bads = _born(bad[""]) if bad else [0.0] * len(values)
    return [None if math.isnan(b) or math.isnan(n) else (b, n) for b, n in zip(bads, values, strict=True)]


def _of_classes(classes: Mapping[str, Values], bad_prefix: str) -> Levels:
    rows = {name: _born(values) for name, values in classes.items()}
    present = [any(not math.isnan(v) for v in at) for at in zip(*classes.values(), strict=True)]
    totals = [math.fsum(at) for at in zip(*rows.values(), strict=True)]
    bad = [values for name, values in rows.items() if name.startswith(bad_prefix)]
    bads = [math.fsum(at) for at in zip(*bad, strict=True)] if bad else [0.0] * len(totals)
    return [(b, n) if there and not math.isnan(n) else None for there, b, n in zip(present, bads, totals, strict=True)]


def _of_buckets(buckets: Mapping[str, Values], threshold: str) -> Levels:
    infinite, below = buckets.get(str(math.inf)), buckets.get(threshold)
    if infinite is None or below is None:
        return [None] * len(next(iter(buckets.values())))
    return [None if math.isnan(n) or math.isnan(k) else (n - k, n) for k, n in zip(below, infinite, strict=True)]


def _born(values: Values) -> list[float]:
    """Zero before the series was first seen: nothing of its kind had happened. A gap later on stays one."""
    first = next((k for k, value in enumerate(values) if not math.isnan(value)), len(values))
    return [0.0] * first + list(values[first:])


def _steps(levels: Levels) -> list[ArmCounts | None]:
    """Events between each two points."""
    out: list[ArmCounts | None] = []
    for before, after in itertools.pairwise(levels):
        counts = None
        if before is not None and after is not None:
            bad, total = after[0] - before[0], after[1] - before[1]
            counts = ArmCounts(round(bad), round(total)) if 0 <= bad <= total else None
        out.append(counts)
    return out


def _split(arms: Arms, steps: Mapping[Unit, Sequence[ArmCounts | None]]) -> tuple[frozenset[str], frozenset[str]]:
    """Two halves of stable's pods: every other one, in the order in which they came, then by name.

    Only where the pods are stable's own. Behind a gateway the pods are the gateway's, and tell nothing of stable's.
    """
    if arms.label != _BY_POD:
        return frozenset(), frozenset()
    came: dict[str, int] = {}
    for (pod, _), counted in steps.items():
        first = next(k for k, arm in enumerate(counted) if arm is not None)
        came[pod] = min(first, came.get(pod, first))
    pods = sorted(came, key=lambda pod: (came[pod], pod))
    return frozenset(pods[::2]), frozenset(pods[1::2])


def _together(steps: Mapping[Unit, Sequence[ArmCounts | None]], pods: frozenset[str]) -> list[ArmCounts | None]:
    mine = [counted for (pod, _), counted in steps.items() if pod in pods]
    return [_sum(at) for at in zip(*mine, strict=True)]


def _sum(arms: Iterable[ArmCounts | None]) -> ArmCounts | None:
    seen = [arm for arm in arms if arm is not None]
    return ArmCounts(sum(a.bad for a in seen), sum(a.total for a in seen)) if seen else None
