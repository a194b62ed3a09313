"""Evidence is that of what happened, however it was scraped; what was not scraped decides nothing."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from chaffinch_operator.canary import evidence, readings
from chaffinch_operator.canary.gates import ResolvedGate, resolve
from chaffinch_operator.canary.judgement import Thresholds
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.canary.snapshot import ArmReading, GateReading, IntervalReading
from chaffinch_operator.canary.status import CanaryRolloutStatus, GateStatus
from chaffinch_operator.ports.prometheus import BadQuery, ProviderUnreachable
from chaffinch_operator.ports.queries import Sample, Selector, Stream, Track, millis
from chaffinch_stats import counts
from support.scraped import Scrape, Scraped
from unit.canary.builders import ERRORS, NAMING, NOW, SPEC, merged
from unit.canary.cluster import Counters, Shop

OFFSET = timedelta(seconds=5)
LENGTH = timedelta(seconds=30)
COUNT = 12
SCRAPE_MS = 5000
ARMS = {"canary": "web-canary-", "baseline": "web-hv1-"}
QUICK = merged(
    SPEC,
    {
        "steps": [{"setWeight": 25, "minDuration": "1m"}, {"setWeight": 50, "minDuration": "1m"}],
        "analysis": {"gates": [{**ERRORS, "dispersion": "1"}]},
    },
)
UNDECIDED = frozenset({Action.SHIFT, Action.HOLD, Action.PAUSE, Action.START})
SAID_WHY = frozenset({Reason.NO_DATA, Reason.PROVIDER_UNREACHABLE, Reason.BAD_QUERY})
Span = tuple[datetime, datetime]
quick = settings(deadline=None, max_examples=25)
seeds = st.integers(0, 2**32)


def intervals(count: int = COUNT) -> list[Span]:
    """Closed intervals, one after the other."""
    return [(NOW + k * LENGTH, NOW + (k + 1) * LENGTH) for k in range(count)]


@dataclass
class Traffic:
    """Pods that come, go, restart and are scraped as it happens; what could be seen of them, by the scrape that saw it.

    The first scrape of a pod tells how much it had done before, at an unknown time, so it counts for nothing. What a
    pod did after its last scrape before a restart, nobody can know.
    """

    chance: random.Random
    now: datetime = NOW
    seen: list[tuple[int, str, int, int]] = field(default_factory=list)
    """Time of the scrape, arm, bad and all requests since the scrape before."""

    def __post_init__(self) -> None:
        self.store = Scraped(lambda: self.now, self.chance)
        for arm, prefix in ARMS.items():
            for number in range(self.chance.randint(1, 3)):
                self.run(arm, f"{prefix}{number}")

    def run(self, arm: str, pod: str) -> None:
        """The whole life of one pod."""
        begin, end = millis(NOW) - 60_000, millis(NOW + COUNT * LENGTH)
        born = begin if self.chance.random() < 0.5 else self.chance.randint(begin, end)
        died = self.chance.randint(born, end) if self.chance.random() < 0.3 else end + 60_000
        at, first = born + self.chance.randint(0, SCRAPE_MS), True
        bad = total = 0
        while at <= min(died, end):
            more, failed = self.requests()
            if total > 2000 and bad > 100 and self.chance.random() < 0.3:
                bad = total = 0  # restarted: its counters begin anew, below what they were
            bad, total = bad + failed, total + more
            self.scrape(pod, at, bad, total)
            if not first:
                self.seen.append((at, arm, failed, more))
            at, first = at + SCRAPE_MS + self.chance.randint(-500, 500), False
        if died <= end:
            self.store.gone[pod] = died

    def requests(self) -> tuple[int, int]:
        """All and bad requests between two scrapes."""
        more = self.chance.choice((0, 5, 80, 300))
        return more, self.chance.randint(0, more // 3) if self.chance.random() < 0.7 else 0

    def scrape(self, pod: str, at: int, bad: int, total: int) -> None:
        """Both series; that of errors is there from the first error on. Seen within the offset."""
        late = self.chance.randint(0, millis(NOW + OFFSET) - millis(NOW))
        self.store.add(pod, "200", Scrape(at, float(total - bad), at + late))
        if bad or (pod, "500") in self.store.series:
            self.store.add(pod, "500", Scrape(at, float(bad), at + late))

    def truth(self, span: Span) -> GateReading:
        """What the scrapes of an interval saw."""
        begin, end = map(millis, span)
        sums = {arm: [0, 0] for arm in ARMS}
        for at, arm, bad, total in self.seen:
            if begin < at <= end:
                sums[arm][0] += bad
                sums[arm][1] += total
        return GateReading("errors", ArmReading(*sums["canary"]), ArmReading(*sums["baseline"]))

    async def read(self, spans: Sequence[Span]) -> list[GateReading]:
        """What the operator reads, each interval as soon as it may."""
        out = []
        for span in spans:
            self.now = max(self.now, span[1] + OFFSET)
            found, problem = await readings.read(self.store, gates(), [span], OFFSET)
            assert problem is None
            out.append(found[0].gates[0])
        return out


def gates() -> tuple[ResolvedGate, ...]:
    """The gate of errors."""
    return resolve(CanaryRolloutSpec.model_validate(QUICK), NAMING)


def folded(read: Sequence[GateReading], spans: Sequence[Span]) -> GateStatus:
    """The gate after intervals."""
    thresholds = Thresholds.of(CanaryRolloutSpec.model_validate(QUICK), gates())
    statuses: tuple[GateStatus, ...] = ()
    for reading, (start, end) in zip(read, spans, strict=True):
        statuses = evidence.fold(gates(), statuses, IntervalReading(start, end, (reading,)), 0.25, thresholds)
    return statuses[0]


def logs(status: GateStatus) -> tuple[float, ...]:
    """The evidence in numbers; nothing before there is any."""
    gate = gates()[0].count
    assert gate is not None
    if not status.evidence:
        return (0.0, 0.0, 0.0)
    found = counts.from_state(gate, status.evidence)
    return (counts.log_e_harm(found, gate), counts.log_e_safe(found, gate), found.log_peak)


@quick
@given(seeds)
async def test_evidence_is_that_of_what_happened(seed: int) -> None:
    """Jittered, late, doubled and disordered scrapes, restarts, births and deaths: evidence is the truth's to 1e-9.

    An interval without a usable reading adds nothing, so the truth is taken of the others.
    """
    traffic = Traffic(random.Random(seed))
    read = await traffic.read(intervals())
    usable = [(r, span) for r, span in zip(read, intervals(), strict=True) if r.problem is None]
    if not usable:
        return
    for reading, span in usable:
        assert reading == traffic.truth(span)
    spans = [span for _, span in usable]
    expected = folded([traffic.truth(span) for span in spans], spans)
    assert logs(folded(read, intervals())) == pytest.approx(logs(expected), rel=1e-9, abs=1e-9)


@quick
@given(seeds)
async def test_it_does_not_matter_when_intervals_are_read(seed: int) -> None:
    """An operator that comes back late reads the same as one that was there all the time."""
    at_once, later = Traffic(random.Random(seed)), Traffic(random.Random(seed))
    later.now = NOW + (COUNT + 1) * LENGTH
    for early, late in zip(await at_once.read(intervals()), await later.read(intervals()), strict=True):
        assert early.problem is not None or (early.canary, early.baseline) == (late.canary, late.baseline)


@quick
@given(seeds, st.lists(st.integers(1, 29_999), min_size=1, max_size=4, unique=True))
async def test_parts_of_an_interval_add_up(seed: int, cuts: list[int]) -> None:
    """However an interval is split, no event is lost, and none counts twice."""
    traffic = Traffic(random.Random(seed))
    traffic.now = NOW + (COUNT + 1) * LENGTH
    begin, end = intervals()[COUNT // 2]
    places = [begin, *(begin + timedelta(milliseconds=ms) for ms in sorted(cuts)), end]
    whole, *parts = await traffic.read([(begin, end), *pairwise(places)])
    if whole.problem is not None or any(part.problem is not None for part in parts):
        return
    for arm in ("canary", "baseline"):
        sums = [getattr(part, arm) for part in parts]
        assert ArmReading(sum(a.bad for a in sums), sum(a.total for a in sums)) == getattr(whole, arm)


Fault = Callable[[Scraped], None]
"""What happens to data from a moment on."""


def away(store: Scraped) -> None:
    """Prometheus does not answer."""
    store.problem = ProviderUnreachable("http://prometheus:9090 did not answer")


def refused(store: Scraped) -> None:
    """It answers that the query is wrong."""
    store.problem = BadQuery("parse error")


def stopped(store: Scraped) -> None:
    """No scrape succeeds any more, and nothing tells that the pods are gone."""
    store.spoil = lambda _pod, _scrape: None


def no_canary(store: Scraped) -> None:
    """The canary is not scraped any more."""
    store.spoil = lambda pod, scrape: None if "canary" in pod else scrape


def no_stable(store: Scraped) -> None:
    """Stable is not scraped any more."""
    store.spoil = lambda pod, scrape: scrape if "canary" in pod else None


def late(store: Scraped) -> None:
    """Samples come minutes after they were taken."""
    store.spoil = lambda _pod, scrape: replace(scrape, seen=scrape.at + 600_000)


def not_numbers(store: Scraped) -> None:
    """The canary's counters are NaN."""
    store.spoil = lambda pod, scrape: replace(scrape, value=math.nan) if "canary" in pod else scrape


def slow_clock(store: Scraped) -> None:
    """The clock of the store is ten minutes slow: what is scraped now looks old."""
    store.spoil = lambda _pod, scrape: replace(scrape, at=scrape.at - 600_000)


@dataclass
class Behind(Counters):
    """The port to a store that scrapes the shop's counters."""

    store: Scraped = field(kw_only=True)

    async def instant(self, query: str, at: datetime) -> list[Sample]:
        """As the store has it."""
        return await self.store.instant(query, at)

    async def raw(
        self, selector: Selector, at: datetime, milliseconds: int, settled: float | None = None
    ) -> list[Track]:
        """As the store has it."""
        return await self.store.raw(selector, at, milliseconds, settled)

    async def newest(
        self, selector: Selector, at: datetime, milliseconds: int = 0, settled: float | None = None
    ) -> list[Sample]:
        """As the store has it."""
        return await self.store.newest(selector, at)

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[Stream]:
        """As the store has it."""
        return await self.store.range(query, start, end, step)


class Watched(Shop):
    """A shop whose pods are scraped every five seconds, by a store that may lose what it scrapes."""

    def watch(self, seed: int) -> Scraped:
        """Begin to scrape."""
        self.store = Scraped(lambda: self.cluster.now, random.Random(seed))
        self.counters = Behind(self.cluster, store=self.store)
        return self.store

    async def go(self, seconds: int) -> None:
        """So many seconds, with a scrape and a pass every five."""
        for _ in range(0, seconds, 5):
            self.cluster.tick(5)
            at = millis(self.cluster.now)
            bad, total = (self.counters.counters(query, self.cluster.now) for query in ("5..", ""))
            for failed, served in zip(bad, total, strict=True):
                for code, value in (("500", failed.value), ("200", served.value - failed.value)):
                    self.store.add(failed.labels["pod"], code, Scrape(at, value, at))
            await self.look()


def evidence_of(shop: Shop) -> tuple[float, ...]:
    """Evidence and counts of the gate of errors."""
    status = CanaryRolloutStatus.model_validate(shop.status).gates[0]
    return (*logs(status), status.canary.bad, status.canary.total, status.baseline.bad, status.baseline.total)


@pytest.mark.parametrize("version", ["good", "bad"])
@pytest.mark.parametrize("fault", [away, refused, stopped, no_canary, no_stable, late, not_numbers, slow_clock])
@settings(deadline=None, max_examples=3, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(judged=st.integers(0, 25), seed=seeds)
async def test_lost_data_decides_nothing(version: str, fault: Fault, judged: int, seed: int) -> None:
    """From when data are lost no gate promotes or rolls back: the rollout holds and says why, and evidence stays."""
    shop = Watched.opened(QUICK)
    assert isinstance(shop, Watched)
    store = shop.watch(seed)
    await shop.go(10)
    shop.cluster.push(version)
    await shop.go(30 + 5 * judged)
    fault(store)
    await shop.go(80)  # what was closed before is read, an interval with a change of weight is passed over
    if shop.verdict[0] not in UNDECIDED:
        return
    before = evidence_of(shop)
    for _ in range(6):
        await shop.go(30)
        assert shop.verdict[0] in UNDECIDED
        assert shop.verdict[1] in SAID_WHY, shop.status["lastDecision"]
    assert evidence_of(shop) == before
