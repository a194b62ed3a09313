"""Counts of outcomes and latencies, of a second or of all the time. Pure; JSON in, JSON out."""

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from support.load.outcome import Kind, Outcome

_PER_OCTAVE = 8
"""Latency buckets per doubling: a quantile is off by at most 9 %."""


@dataclass(slots=True)
class Tally:
    """What clients saw."""

    outcomes: Counter[Outcome] = field(default_factory=Counter)
    latencies: Counter[int] = field(default_factory=Counter)
    skipped: int = 0
    """Requests that were due but not sent, because the generator itself was late."""

    def add(self, outcome: Outcome, seconds: float) -> None:
        """Count one request."""
        self.outcomes[outcome] += 1
        self.latencies[_bucket(seconds)] += 1

    def merge(self, other: "Tally") -> None:
        """Count all of another's."""
        self.outcomes.update(other.outcomes)
        self.latencies.update(other.latencies)
        self.skipped += other.skipped

    @property
    def requests(self) -> int:
        """All requests."""
        return self.outcomes.total()

    @property
    def failed(self) -> int:
        """Requests that failed their client."""
        return self.count(kind=Kind.FAILED)

    def count(self, *, kind: Kind | None = None, track: str | None = None, version: str | None = None) -> int:
        """Requests that match all that is given."""
        return sum(
            n
            for o, n in self.outcomes.items()
            if kind in (None, o.kind) and track in (None, o.track) and version in (None, o.version)
        )

    def failures(self) -> dict[str, int]:
        """Failed requests by status."""
        found: Counter[str] = Counter()
        for outcome, number in self.outcomes.items():
            if outcome.kind is Kind.FAILED:
                found[outcome.status] += number
        return dict(sorted(found.items()))

    def quantile_ms(self, q: float) -> float | None:
        """A quantile of the latencies in milliseconds; None without requests."""
        goal, seen = q * self.latencies.total(), 0
        for bucket, number in sorted(self.latencies.items()):
            seen += number
            if seen >= goal:
                return float(2 ** ((bucket + 1) / _PER_OCTAVE)) / 1000
        return None

    def to_json(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "answers": [
                {"kind": o.kind.value, "track": o.track, "version": o.version, "status": o.status, "count": n}
                for o, n in sorted(self.outcomes.items(), key=lambda item: tuple(map(str, _key(item[0]))))
            ],
            "latencies": {str(bucket): number for bucket, number in sorted(self.latencies.items())},
            "skipped": self.skipped,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Tally":
        """Read what to_json wrote."""
        outcomes = Counter(
            {Outcome(Kind(a["kind"]), a["track"], a["version"], a["status"]): int(a["count"]) for a in data["answers"]}
        )
        return cls(outcomes, Counter({int(b): int(n) for b, n in data["latencies"].items()}), int(data["skipped"]))


def total(tallies: Iterable[Tally]) -> Tally:
    """The sum of many."""
    result = Tally()
    for tally in tallies:
        result.merge(tally)
    return result


def _bucket(seconds: float) -> int:
    return math.floor(math.log2(max(1.0, seconds * 1_000_000)) * _PER_OCTAVE)


def _key(outcome: Outcome) -> tuple[str, ...]:
    return (outcome.kind, outcome.track, outcome.version, outcome.status)
