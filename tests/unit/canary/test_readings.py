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
from chaffinch_operator.ports.prometheus import BadQuery, ProviderUnreachable, Sample, Stream
from support.ranges import by_instants
from unit.canary.builders import NAMING, NOW, RESTARTS, SPEC, merged, moment

STABLE, CANARY = "web-hv1-a", "web-canary-b"
INTERVALS = [(moment(30), moment(60)), (moment(60), moment(90))]


def gates(*listed: dict[str, Any]) -> tuple[ResolvedGate, ...]:
    """Resolved gates."""
    return resolve(CanaryRolloutSpec.model_validate(merged(SPEC, {"analysis": {"gates": list(listed)}})), NAMING)


@dataclass
class Server:
    """Answers by query: label sets whose counters grow by a rate per second."""

    answers: dict[str, list[tuple[dict[str, str], float]]] = field(default_factory=dict)
    problem: Exception | None = None
    down_after: datetime | None = None
    asked: list[str] = field(default_factory=list)

    async def instant(self, query: str, at: datetime) -> list[Sample]:
        """The counters at a moment."""
        self.asked.append(query)
        if self.problem:
            raise self.problem
        if self.down_after and at > self.down_after:
            raise ProviderUnreachable("no answer")
        seconds = (at - NOW).total_seconds()
        return [Sample(labels, rate * seconds) for labels, rate in self.answers.get(query, [])]

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[Stream]:
        """The same on a grid."""
        return await by_instants(self.instant, query, start, end, step)


def arms(canary: float, stable: float, **labels: str) -> list[tuple[dict[str, str], float]]:
    """A series of each arm."""
    rows = ((CANARY, canary), (STABLE, stable))
    return [({"__name__": "x", "pod": pod, "instance": pod, **labels}, rate) for pod, rate in rows]


RATIO = {"name": "errors", "ratio": {"bad": "bad", "total": "all"}}
SLOW = {"name": "slow", "latency": {"histogram": "h", "threshold": "250ms"}}


async def test_a_ratio_is_read_at_both_ends() -> None:
    """Every interval by what was counted in it."""
    found, problem = await readings.read(Server({"bad": arms(1, 2), "all": arms(10, 40)}), gates(RATIO), INTERVALS)
    assert problem is None
    assert [(r.start, r.end) for r in found] == INTERVALS
    assert found[0].gates[0].canary == ArmReading(30, 300)
    assert found[1].gates[0].baseline == ArmReading(60, 1200)


async def test_classes_are_read_by_one_query() -> None:
    """As Envoy Gateway has them."""
    gate = gates({"name": "e", "template": "EnvoyGatewayErrors"})
    source = gate[0].source
    assert source is not None
    rows = [
        ({"envoy_cluster_name": f"httproute/shop/web/rule/0/backend/{arm}", "envoy_response_code_class": code}, rate)
        for arm, code, rate in (("0", "2", 9.0), ("0", "5", 1.0), ("1", "2", 3.0), ("1", "5", 1.0))
    ]
    server = Server({getattr(source, "query", ""): rows})
    found, _ = await readings.read(server, gate, INTERVALS[:1])
    assert (found[0].gates[0].canary, found[0].gates[0].baseline) == (ArmReading(30, 120), ArmReading(30, 300))
    assert len(server.asked) == 2


async def test_buckets_are_read_by_one_query() -> None:
    """What is slower than the threshold is bad."""
    gate = gates(SLOW)
    query = getattr(gate[0].source, "query", "")
    rows = arms(9, 39, le="0.25") + arms(10, 40, le="+Inf")
    found, _ = await readings.read(Server({query: rows}), gate, INTERVALS[:1])
    assert found[0].gates[0].canary == ArmReading(30, 300)


async def test_a_threshold_that_is_no_boundary_is_refused_with_those_there_are() -> None:
    """So that one can be chosen."""
    gate = gates(SLOW)
    source = gate[0].source
    boundaries = [({"le": le}, 1.0) for le in ("0.5", "0.1", "+Inf")]
    server = Server(
        {getattr(source, "query", ""): arms(1, 1, le="+Inf"), getattr(source, "boundaries_query", ""): boundaries}
    )
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
    found, problem = await readings.read(server, gates(RATIO, RESTARTS), INTERVALS[:1])
    assert problem is None
    assert [g.gate for g in found[0].gates] == ["errors"]
    assert found[0].gates[0].problem is not None
    assert found[0].gates[0].problem.reason is reason


async def test_what_was_read_before_the_server_went_is_kept() -> None:
    """The rest is asked again in the next pass."""
    server = Server({"bad": arms(1, 1), "all": arms(9, 9)}, down_after=moment(60))
    found, problem = await readings.read(server, gates(RATIO), INTERVALS)
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
