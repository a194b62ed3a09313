"""A range query of a stand-in for Prometheus, by its own instant queries."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

from chaffinch_operator.ports.prometheus import Sample, Stream

Instant = Callable[[str, datetime], Awaitable[list[Sample]]]


async def by_instants(
    instant: Instant, query: str, start: datetime, end: datetime, step: timedelta, *, born: datetime | None = None
) -> list[Stream]:
    """What Prometheus says of a range: the instant answers on the grid, series by series; none before `born`."""
    found: dict[tuple[tuple[str, str], ...], list[tuple[float, float]]] = {}
    at = start
    while at <= end:
        for sample in await instant(query, at) if born is None or at >= born else ():
            found.setdefault(tuple(sample.labels.items()), []).append((at.timestamp(), sample.value))
        at += step
    return [Stream(dict(labels), tuple(points)) for labels, points in found.items()]
