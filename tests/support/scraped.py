"""What a Prometheus holds of pods that are scraped: samples that are seen only some time after they were taken.

Behind the operator's port, on a clock that the test moves. Answers come as a store may give them: series and samples in
any order, some samples twice. Nothing here knows how the operator counts.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from chaffinch_operator.ports.queries import Sample, Selector, Stream, Track, millis
from support.ranges import by_instants

LOOKBACK_MS = 300_000
"""How old a sample may be that Prometheus still calls present."""
Codes = tuple[str, ...]
CODES: Codes = ("200", "500")


@dataclass(frozen=True, slots=True)
class Scrape:
    """One sample of one series."""

    at: int
    """Milliseconds since the epoch."""
    value: float
    seen: int
    """When the store has it."""


@dataclass(slots=True)
class Scraped:
    """A store of `http_requests_total` by pod and code."""

    now: Callable[[], datetime]
    chance: random.Random = field(default_factory=lambda: random.Random(0))
    series: dict[tuple[str, str], list[Scrape]] = field(default_factory=dict)
    """By pod and code."""
    gone: dict[str, int] = field(default_factory=dict)
    """When the store was told that a pod is no more."""
    problem: Exception | None = None
    """What every question is answered with."""
    spoil: Callable[[str, Scrape], Scrape | None] = lambda _pod, scrape: scrape
    """What becomes of a sample on its way in; None: it is lost."""
    born: datetime = datetime(2026, 1, 1, tzinfo=UTC)

    def add(self, pod: str, code: str, scrape: Scrape) -> None:
        """Take a sample in."""
        spoilt = self.spoil(pod, scrape)
        if spoilt is not None:
            self.series.setdefault((pod, code), []).append(spoilt)

    async def instant(self, query: str, at: datetime) -> list[Sample]:
        """The present value of each series."""
        return [Sample(labels, last.value) for labels, last in self._present(query, at)]

    async def raw(
        self, selector: Selector, at: datetime, milliseconds: int, settled: float | None = None
    ) -> list[Track]:
        """All samples of a window, shuffled."""
        end, tracks = millis(at), []
        for labels, scrapes in self._matching(selector.text):
            inside = [s for s in scrapes if end - milliseconds < s.at <= end]
            inside += [s for s in inside if self.chance.random() < 0.1]
            self.chance.shuffle(inside)
            if inside:
                tracks.append(Track(labels, [s.at for s in inside], [s.value for s in inside]))
        self.chance.shuffle(tracks)
        return tracks

    async def newest(
        self, selector: Selector, at: datetime, milliseconds: int = 0, settled: float | None = None
    ) -> list[Sample]:
        """When each series that is not gone was scraped last."""
        return [Sample(labels, last.at / 1000) for labels, last in self._present(selector.text, at)]

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[Stream]:
        """Values on a grid."""
        return await by_instants(self.instant, query, start, end, step, born=self.born)

    def _present(self, query: str, at: datetime) -> Iterable[tuple[Mapping[str, str], Scrape]]:
        moment = millis(at)
        for labels, scrapes in self._matching(query):
            found = max((s for s in scrapes if moment - LOOKBACK_MS < s.at <= moment), key=lambda s: s.at, default=None)
            if found is not None and not found.at < self.gone.get(labels["pod"], math.inf) <= moment:
                yield labels, found

    def _matching(self, query: str) -> Iterable[tuple[Mapping[str, str], list[Scrape]]]:
        if self.problem is not None:
            raise self.problem
        now = millis(self.now())
        for (pod, code), scrapes in self.series.items():
            if code == "500" or "5.." not in query:
                labels = {"__name__": "http_requests_total", "pod": pod, "instance": f"{pod}:8080", "code": code}
                yield labels, [s for s in scrapes if s.seen <= now]
