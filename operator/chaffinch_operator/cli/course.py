"""What weights a rollout had over time, as far as the operator's Events still tell. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from chaffinch_operator.canary.clock import parse
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import IntervalReading

_WEIGHT = re.compile(r"weight (\d+) %")


@dataclass(frozen=True, slots=True)
class Change:
    """A weight was decided, and some time later applied."""

    decided: datetime
    applied: datetime
    percent: float


def changes(events: Iterable[Mapping[str, Any]], uid: str, begun: datetime) -> tuple[Change, ...]:
    """The weight in force when the analysis had begun, and its changes since.

    events: objects of events.k8s.io/v1, about anything; those of earlier candidates are passed over.
    """
    told = sorted(
        (at, str(e.get("reason", "")), str(e.get("note", "")))
        for e in events
        if (e.get("regarding") or {}).get("uid") == uid and (at := parse(str(e.get("eventTime") or ""))) is not None
    )
    out = []
    for at, reason, note in told:
        found = _WEIGHT.search(note)
        if reason == Reason.STEP_WEIGHT and found:
            applied = next((t for t, r, _ in told if t >= at and r == Reason.ANALYZING), at)
            out.append(Change(at, applied, float(found[1])))
    first = max((place for place, change in enumerate(out) if change.decided <= begun), default=0)
    return tuple(out[first:])


def weight_at(known: Sequence[Change], at: datetime) -> float | None:
    """Percent in force at a time; None where no Event tells."""
    return next((c.percent for c in reversed(known) if c.applied <= at), None)


def settled(
    found: Iterable[IntervalReading], known: Sequence[Change], query_offset: timedelta
) -> list[IntervalReading]:
    """Without the intervals in which a weight was changing: the operator passes them over, too.

    When a weight was confirmed is told to the second or so: an interval at the edge may be missing, or be too many.
    """
    return [r for r in found if not any(r.end > c.applied and r.start < c.applied + query_offset for c in known[1:])]
