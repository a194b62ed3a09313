"""From the documents of a replay to charts: evidence against thresholds, the ratio with its range, the weight. Pure.

Documents come in time order, one per interval; only what can be seen is kept.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from chaffinch_operator.canary.clock import parse
from chaffinch_operator.cli import words
from chaffinch_runtime.curves import Curve
from chaffinch_runtime.svg import COLUMNS, Axis, Chart, Line, Mark, Rule, log_ticks

Document = Mapping[str, Any]
_NARROW = COLUMNS // 2
_BEYOND = math.log(8.0)
"""How far from its reference a ratio is drawn, either way."""


def _curve() -> Curve:
    return Curve(COLUMNS)


def _narrow() -> Curve:
    return Curve(_NARROW)


@dataclass(slots=True)
class GateCurves:
    """What one gate did over time."""

    harm: Curve = field(default_factory=_curve)
    safe: Curve = field(default_factory=_curve)
    ratio: Curve = field(default_factory=_narrow)
    low: Curve = field(default_factory=_narrow)
    high: Curve = field(default_factory=_narrow)

    def add(self, place: float, gate: Document) -> None:
        """One more interval."""
        harm, safe, ratio = gate["logEHarm"], gate["logESafe"], gate["ratio"]
        self.harm.add(place, harm)
        self.safe.add(place, safe)
        low, high = gate["interval"]
        known = harm is not None
        self.low.add(place, (_log(low) if low is not None else -math.inf) if known else None)
        self.high.add(place, (_log(high) if high is not None else math.inf) if known else None)
        self.ratio.add(place, None if ratio is None else _log(ratio))


@dataclass(slots=True)
class Replayed:
    """The curves of all gates over one stretch of time."""

    start: datetime
    end: datetime
    gates: dict[str, GateCurves] = field(default_factory=dict)
    weight: Curve = field(default_factory=_narrow)
    intervals: int = 0
    final: tuple[str, datetime] | None = None
    """The decision that ended it, and when."""
    _before: float = 0.0

    def add(self, document: Document) -> None:
        """One more interval: an element of `intervals`."""
        at = parse(document["end"])
        if at is None:
            return
        place = self.place(at)
        for gate in document["gates"]:
            self.gates.setdefault(gate["name"], GateCurves()).add(place, gate)
        self.weight.add(self._before, document["weight"])
        self.weight.add(place, document["weight"])
        self._before, self.intervals = place, self.intervals + 1
        if self.final is None and document["decision"] != "Hold":
            decided = parse(document["at"] or "") or at
            self.final = (document["decision"], decided)

    def place(self, at: datetime) -> float:
        """Where a time lies: 0 at the start, 1 at the end."""
        whole = (self.end - self.start).total_seconds()
        return min(1.0, max(0.0, (at - self.start).total_seconds() / whole)) if whole > 0 else 1.0


def weight_chart(seen: Replayed) -> Chart | None:
    """The weight over time; None where it is unknown."""
    values = seen.weight.values
    if not values:
        return None
    high = 1.25 * max(1.0, *values)
    ticks = tuple((v, f"{v:g} %") for v in (0.0, high / 2.5, high / 1.25))
    return Chart(
        "Weight of the canary",
        f"Percent of requests for the canary, from {values[0]:g} to {values[-1]:g}.",
        Axis(0.0, high, ticks),
        _times(seen),
        (Line(seen.weight, "ratio"),),
        marks=_marks(seen),
    )


def gate_charts(seen: Replayed, name: str, thresholds: Document, design: Document | None) -> Iterator[Chart]:
    """Evidence and ratio of a gate that counts (at planned looks: the ratio alone); nothing for others."""
    curves = seen.gates.get(name)
    if curves is None:
        return
    if curves.harm.values:
        yield _evidence(seen, name, curves, thresholds["logEHarm"], thresholds["logESafe"])
    if design and (chart := _ratio(seen, name, curves, design)) is not None:
        yield chart


def _evidence(seen: Replayed, name: str, curves: GateCurves, harm: float, safe: float) -> Chart:
    """Natural logarithms; what is far below 1 or far above the thresholds lies at the edge."""
    values = curves.harm.values + curves.safe.values
    top = max(harm, safe)
    low, high = max(-2.0 * top, min(-0.5, *values)), min(4.0 * top, max(1.25 * top, *values))
    last = [c.values[-1] for c in (curves.harm, curves.safe)]
    return Chart(
        f"{name}: evidence of harm (solid) and of safety (dashed)",
        f"Over {seen.intervals} intervals evidence of harm came to {words.e_value(last[0])} of the "
        f"{words.e_value(harm)} at which the gate fails, evidence of safety to {words.e_value(last[1])} of the "
        f"{words.e_value(safe)} at which it passes.",
        Axis(low, high, log_ticks(low, high)),
        _times(seen),
        (Line(curves.harm, "harm"), Line(curves.safe, "safe")),
        (
            Rule(harm, f"fails at {words.e_value(harm)}", "harm", at_end=True),
            Rule(safe, f"passes at {words.e_value(safe)}", "safe"),
        ),
        _marks(seen),
    )


def _ratio(seen: Replayed, name: str, curves: GateCurves, design: Document) -> Chart | None:
    """On a logarithmic axis around what the gate is held against."""
    limit, margin = design["maxRatio"] or design["harmRatio"], design["marginRatio"]
    if not limit or not margin or not (curves.ratio.values or curves.low.values):
        return None
    share = design["maxRatio"] is not None
    middle, upper = math.log(limit), math.log(margin * limit if share else margin)
    ticks = tuple((middle + math.log(f), _label(limit * f, share)) for f in (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0))
    what = "bad share of the canary" if share else "ratio of bad shares, canary to stable"
    return Chart(
        f"{name}: {what}, with its confidence sequence",
        f"The {what}, and the range in which it lies whenever one looks.",
        Axis(middle - _BEYOND, middle + _BEYOND, ticks),
        _times(seen),
        (Line(curves.ratio, "ratio"),),
        (
            Rule(middle, f"harm above {_label(limit, share)}", "harm", at_end=True),
            Rule(upper, f"safe below {_label(math.exp(upper), share)}", "safe"),
        ),
        _marks(seen),
        (curves.low, curves.high) if curves.low.values else None,
    )


def _label(value: float, share: bool) -> str:
    return words.percent(value) if share else f"{value:.3g}x"


def _log(value: float) -> float:
    return math.log(value) if value > 0.0 else -math.inf


def _marks(seen: Replayed) -> tuple[Mark, ...]:
    return (Mark(seen.place(seen.final[1]), seen.final[0]),) if seen.final else ()


def _times(seen: Replayed) -> tuple[str, ...]:
    middle = seen.start + (seen.end - seen.start) / 2
    form = "%d %b %H:%M" if (seen.end - seen.start).days else "%H:%M:%S"
    return tuple(at.strftime(form) for at in (seen.start, middle, seen.end))


def all_charts(seen: Replayed, head: Document) -> Sequence[Chart]:
    """Every chart there is, for one picture."""
    charts = [c for c in (weight_chart(seen),) if c is not None]
    for gate in head["gates"]:
        charts += gate_charts(seen, gate["name"], head["thresholds"], head["designs"].get(gate["name"]))
    return charts
