"""Reading counters at the ends of intervals: every kind of gate, and what goes wrong on the way."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from chaffinch_operator.canary import readings
from chaffinch_operator.canary.gates import ResolvedGate, resolve
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import ArmReading
from chaffinch_operator.canary.sources import Buckets, Classes
from chaffinch_operator.ports.prometheus import BadQuery, ProviderUnreachable
from chaffinch_operator.ports.queries import Sample, Selector, Stream, Track, millis
from support.ranges import by_instants
from unit.canary.builders import NAMING, NOW, RESTARTS, SPEC, merged, moment

STABLE, CANARY = "web-hv1-a", "web-canary-b"
INTERVALS = [(moment(30), moment(60)), (moment(60), moment(90))]
SETTLED = timedelta(seconds=5)
SCRAPE = 5


def gates(*listed: dict[str, Any]) -> tuple[ResolvedGate, ...]:
    """Resolved gates."""
    return resolve(CanaryRolloutSpec.model_validate(merged(SPEC, {"analysis": {"gates": list(listed)}})), NAMING)


@dataclass
class Server:
    """Answers by query: label sets whose counters grow by a rate per second, scraped every five seconds."""

    answers: dict[str, list[tuple[dict[str, str], float]]] = field(default_factory=dict)
    problem: Exception | None = None
    down_after: datetime | None = None
    last_scrape: datetime | None = None
    """Samples after this have not come yet."""
    asked: list[str] = field(default_factory=list)

    async def instant(self, query: str, at: datetime) -> list[Sample]:
        """The counters at a moment."""
        self.ask(query, at)
        return self.counters(query, at)

    async def raw(
        self, selector: Selector, at: datetime, milliseconds: int, settled: float | None = None
    ) -> list[Track]:
        """The counters at all scrapes."""
        self.ask(f"{selector.text}[{milliseconds}ms] {settled}", at)
        last = min(at, self.last_scrape or at)
        moments = [
            then for age in range(0, milliseconds // 1000, SCRAPE) if (then := at - timedelta(seconds=age)) <= last
        ]
        return [
            Track(labels, [millis(then) for then in moments], [rate * _second(then) for then in moments])
            for labels, rate in self.answers.get(selector.text, [])
        ]

    async def newest(
        self, selector: Selector, at: datetime, milliseconds: int = 0, settled: float | None = None
    ) -> list[Sample]:
        """The times of the last scrapes."""
        self.ask(f"timestamp({selector.text})", at)
        last = min(at, self.last_scrape or at)
        return [Sample(labels, last.timestamp()) for labels, _ in self.answers.get(selector.text, [])]

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[Stream]:
        """The same on a grid."""
        return await by_instants(self.instant, query, start, end, step)

    def ask(self, query: str, at: datetime) -> None:
        """Answer, or not."""
        self.asked.append(query)
        if self.problem:
            raise self.problem
        if self.down_after and at > self.down_after:
            raise ProviderUnreachable("no answer")

    def counters(self, query: str, at: datetime) -> list[Sample]:
        """By a rate per second."""
        return [Sample(labels, rate * _second(at)) for labels, rate in self.answers.get(query, [])]


def _second(at: datetime) -> float:
    """Counters start long before the tests do."""
    return (at - NOW).total_seconds() + 1000


def arms(canary: float, stable: float, **labels: str) -> list[tuple[dict[str, str], float]]:
    """A series of each arm."""
    rows = ((CANARY, canary), (STABLE, stable))
    return [({"__name__": "x", "pod": pod, "instance": pod, **labels}, rate) for pod, rate in rows]


RATIO = {"name": "errors", "ratio": {"bad": "bad", "total": "all"}}
SUMS = {"name": "errors", "ratio": {"bad": "bad", "total": "sum by (pod) (all)"}}
SLOW = {"name": "slow", "latency": {"histogram": "h", "threshold": "250ms"}}


async def test_a_ratio_is_read_from_raw_samples() -> None:
    """Every interval by what was counted in it, with one request for each of its queries."""
    server = Server({"bad": arms(1, 2), "all": arms(10, 40)})
    found, problem = await readings.read(server, gates(RATIO), INTERVALS, SETTLED)
    assert problem is None
    assert [(r.start, r.end) for r in found] == INTERVALS
    assert found[0].gates[0].canary == ArmReading(30, 300)
    assert found[1].gates[0].baseline == ArmReading(60, 1200)
    assert sorted(server.asked) == ["all[180000ms] 5.0"] * 2 + ["bad[180000ms] 5.0"] * 2


async def test_where_one_query_is_a_sum_both_are_read_at_both_ends() -> None:
    """Else pods that come and go would count in one of the two only."""
    server = Server({"bad": arms(1, 2), "sum by (pod) (all)": arms(10, 40)})
    found, _ = await readings.read(server, gates(SUMS), INTERVALS[:1], SETTLED)
    assert (found[0].gates[0].canary, found[0].gates[0].baseline) == (ArmReading(30, 300), ArmReading(60, 1200))
    assert sorted(server.asked) == ["bad"] * 2 + ["sum by (pod) (all)"] * 2


async def test_classes_are_read_by_one_query() -> None:
    """As Envoy Gateway has them."""
    gate = gates({"name": "e", "template": "EnvoyGatewayErrors"})
    source = gate[0].source
    assert isinstance(source, Classes)
    rows = [
        ({"envoy_cluster_name": f"httproute/shop/web/rule/0/backend/{arm}", "envoy_response_code_class": code}, rate)
        for arm, code, rate in (("0", "2", 9.0), ("0", "5", 1.0), ("1", "2", 3.0), ("1", "5", 1.0))
    ]
    server = Server({source.query.text: rows})
    found, _ = await readings.read(server, gate, INTERVALS[:1], SETTLED)
    assert (found[0].gates[0].canary, found[0].gates[0].baseline) == (ArmReading(30, 120), ArmReading(30, 300))
    assert len(server.asked) == 1


def slow() -> tuple[tuple[ResolvedGate, ...], Buckets]:
    """A gate of latency and what it asks."""
    gate = gates(SLOW)
    source = gate[0].source
    assert isinstance(source, Buckets)
    return gate, source


async def test_buckets_are_read_by_one_query() -> None:
    """What is slower than the threshold is bad."""
    gate, source = slow()
    rows = arms(9, 39, le="0.25") + arms(10, 40, le="+Inf")
    found, _ = await readings.read(Server({source.query.text: rows}), gate, INTERVALS[:1], SETTLED)
    assert found[0].gates[0].canary == ArmReading(30, 300)


async def test_a_threshold_that_is_no_boundary_is_refused_with_those_there_are() -> None:
    """So that one can be chosen."""
    gate, source = slow()
    boundaries = [({"le": le}, 1.0) for le in ("0.5", "0.1", "+Inf")]
    server = Server({source.query.text: arms(1, 1, le="+Inf"), source.boundaries_query: boundaries})
    problem = await readings.preflight(server, gate, NOW)
    assert problem is not None
    assert problem.reason is Reason.BAD_QUERY
    assert problem.message == (
        "spec.analysis.gates[slow]: threshold: h has no bucket boundary at 0.25, only 0.1, 0.5: choose one of these"
    )


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (Server(problem=BadQuery("parse error")), Reason.BAD_QUERY),
        (Server({"bad": arms(0.01, 0), "all": arms(1, 1)}), Reason.BAD_QUERY),
        (Server(), Reason.NO_DATA),
    ],
    ids=["refused", "no counter", "nothing"],
)
async def test_what_cannot_be_judged_is_a_value(server: Server, reason: Reason) -> None:
    """The interval counts as read, without data of this gate."""
    found, problem = await readings.read(server, gates(RATIO, RESTARTS), INTERVALS[:1], SETTLED)
    assert problem is None
    assert [g.gate for g in found[0].gates] == ["errors"]
    assert found[0].gates[0].problem is not None
    assert found[0].gates[0].problem.reason is reason


async def test_an_interval_whose_scrapes_are_late_is_not_counted() -> None:
    """Neither harm nor safety; once they have come, the next one is whole."""
    server = Server({"bad": arms(1, 1), "all": arms(9, 9)}, last_scrape=moment(50))
    found, _ = await readings.read(server, gates(RATIO), INTERVALS[:1], SETTLED)
    assert found[0].gates[0].problem is not None
    assert found[0].gates[0].problem.reason is Reason.NO_DATA
    assert "scrapes are late" in found[0].gates[0].problem.message
    server.last_scrape = None
    found, _ = await readings.read(server, gates(RATIO), INTERVALS[1:], SETTLED)
    assert found[0].gates[0].canary == ArmReading(30, 270)


async def test_a_scrape_after_the_end_is_proof_enough() -> None:
    """One was missed before it, and asked for: none is to come any more."""
    server = Server({"bad": arms(1, 1), "all": arms(9, 9)}, last_scrape=moment(50))

    async def newest(selector: Selector, at: datetime, milliseconds: int, settled: float | None) -> list[Sample]:
        assert at == INTERVALS[0][1] + SETTLED
        return [Sample(labels, at.timestamp()) for labels, _ in server.answers[selector.text]]

    server.newest = newest  # type: ignore[assignment,method-assign]
    found, _ = await readings.read(server, gates(RATIO), INTERVALS[:1], SETTLED)
    assert found[0].gates[0].canary == ArmReading(20, 180)


async def test_what_was_read_before_the_server_went_is_kept() -> None:
    """The rest is asked again in the next pass."""
    server = Server({"bad": arms(1, 1), "all": arms(9, 9)}, down_after=moment(60))
    found, problem = await readings.read(server, gates(RATIO), INTERVALS, SETTLED)
    assert len(found) == 1
    assert problem is not None
    assert problem.reason is Reason.PROVIDER_UNREACHABLE
    assert problem.message.endswith("no answer; nothing is decided until it answers")


async def test_before_a_start_missing_data_is_no_problem() -> None:
    """There is no canary yet; an unreachable server is one, and gates that ask nothing are not asked."""
    assert await readings.preflight(Server(), gates(RESTARTS, RATIO), NOW) is None
    assert await readings.preflight(Server({"bad": arms(0, 0), "all": arms(1, 1)}), gates(RATIO), NOW) is None
    away = await readings.preflight(Server(problem=ProviderUnreachable("down")), gates(RESTARTS, RATIO), NOW)
    assert away is not None
    assert away.reason is Reason.PROVIDER_UNREACHABLE


def test_intervals_of_a_rollout_that_asks_nothing_pass() -> None:
    """Empty ones."""
    assert [(r.start, r.end, r.gates) for r in readings.unasked(INTERVALS)] == [(*i, ()) for i in INTERVALS]
