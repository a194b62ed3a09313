"""What is asked of a metrics store and what it answers, as values. Pure."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

Row = tuple[str, ...]
"""Values of a selector's choosing labels, in their order; empty where it has none."""
_SPECIAL = re.compile(r"([\\.+*?()|\[\]{}^$])")
_STRING = r'"(?:[^"\\\n]|\\.)*"|' + r"'(?:[^'\\\n]|\\.)*'|`[^`]*`"
_MATCHER = rf"(?:(?:[a-zA-Z_][a-zA-Z0-9_]*|{_STRING})\s*(?:=~|!~|!=|=)\s*(?:{_STRING})|{_STRING})"
_PLAIN = re.compile(
    rf"\s*(?P<metric>[a-zA-Z_:][a-zA-Z0-9_:]*)\s*"
    rf"(?:\{{\s*(?P<matchers>(?:{_MATCHER}\s*,\s*)*(?:{_MATCHER})?)\s*\}})?\s*"
)


@dataclass(frozen=True, slots=True)
class Selector:
    """A vector selector. Callers that differ in `rows` only can be asked for together and told apart afterwards."""

    metric: str
    matchers: str = ""
    """What all callers ask for, such as reporter="destination"."""
    labels: Row = ()
    """Labels whose values choose."""
    rows: tuple[Row, ...] = ((),)
    """The combinations of their values that are wanted."""

    @property
    def text(self) -> str:
        """The selector as PromQL."""
        return self.covering(self.rows)

    def covering(self, rows: Iterable[Row]) -> str:
        """PromQL that selects all of these rows, and perhaps other combinations of their values."""
        matchers = self.matchers.strip().rstrip(",").rstrip()
        parts = [matchers] if matchers else []
        for position, label in enumerate(self.labels):
            parts.append(f"{label}{_one_of(sorted({row[position] for row in rows}))}")
        return f"{self.metric}{{{','.join(parts)}}}" if parts else self.metric

    def row_of(self, labels: Mapping[str, str]) -> Row:
        """The row that a series belongs to."""
        return tuple(labels.get(label, "") for label in self.labels)


def plain(query: str) -> Selector | None:
    """Read a query that selects from one metric and does nothing else; None for any other: sum(...), x offset 1m."""
    found = _PLAIN.fullmatch(query)
    return Selector(found["metric"], found["matchers"] or "") if found else None


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant vector."""

    labels: Mapping[str, str]
    value: float
    """May be NaN or infinite, as Prometheus sent it."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """One sample of a native histogram."""

    count: float
    buckets: tuple[tuple[float, float, float], ...]
    """Left boundary (exclusive), right boundary (inclusive) and number of observations, only where there are any."""


@dataclass(frozen=True, slots=True)
class Track:
    """The samples of one series: of a number, or of a native histogram."""

    labels: Mapping[str, str]
    times: Sequence[int]
    """Milliseconds since the epoch, each with its value or histogram, in any order."""
    values: Sequence[float]
    histograms: Sequence[Histogram] = ()


@dataclass(frozen=True, slots=True)
class Stream:
    """One series of a range."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float], ...]
    """Seconds since the epoch and value, only where there is one."""


def millis(at: datetime) -> int:
    """Milliseconds since the epoch, rounded down: the resolution of Prometheus."""
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(milliseconds=1)


def _one_of(values: Sequence[str]) -> str:
    """Literal alternatives become a set lookup in Prometheus, not a regular expression."""
    if len(values) == 1:
        return f"={_quoted(values[0])}"
    return "=~" + _quoted("|".join(_SPECIAL.sub(r"\\\1", value) for value in values))


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
