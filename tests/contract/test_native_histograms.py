"""Native histograms as a real Prometheus scrapes and answers them, down to the events of a gate."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import pytest

from chaffinch_operator.canary import gates, readings
from chaffinch_operator.canary.gates import ResolvedGate
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.snapshot import ArmReading, GateReading
from chaffinch_operator.canary.sources import Naming
from chaffinch_operator.ports.prometheus import BadQuery, HttpPrometheus
from support.protobuf_exposition import native_histogram
from support.real_prometheus import Exporter, scraped

STABLE, CANARY = "web-1-a", "web-canary-x-b"
NAMING = Naming("shop", "web", "web-1-", "web-canary-")
LATER = timedelta(seconds=10)
"""What is asked before a start is asked for a round moment of the last ten seconds."""


@pytest.fixture(autouse=True)
def text_again(exporter: Exporter) -> Iterator[None]:
    """After each test nothing is exposed."""
    yield
    exporter.protobuf = b""


def gate(name: str, threshold: str, **latency: Any) -> tuple[ResolvedGate, ...]:
    """A gate on the latency of a native histogram."""
    source = {"histogram": name, "threshold": threshold, "format": "Native", **latency}
    spec = CanaryRolloutSpec.model_validate(
        {
            "targetRef": {"name": "web"},
            "serviceRef": {"name": "web", "port": 80},
            "trafficRouting": {"replicas": {}},
            "analysis": {"gates": [{"name": "slow", "latency": source}]},
        }
    )
    return gates.resolve(spec, NAMING)


async def exposed(
    exporter: Exporter, prometheus: HttpPrometheus, name: str, schema: int, pods: Mapping[str, Mapping[int, int]]
) -> datetime:
    """The moment at which Prometheus has these observations by pod and bucket."""
    total = sum(sum(observed.values()) for observed in pods.values())
    exporter.protobuf = b"".join(
        native_histogram(name, {"pod": pod}, schema, observed) for pod, observed in pods.items()
    )
    return await scraped(prometheus, f"sum(histogram_count({name}))", total)


async def read(
    prometheus: HttpPrometheus, gate: tuple[ResolvedGate, ...], start: datetime, end: datetime
) -> GateReading:
    """What the gate measured."""
    (interval,), problem = await readings.read(prometheus, gate, [(start, end)], timedelta(seconds=1))
    assert problem is None
    return interval.gates[0]


async def test_observations_above_a_boundary_are_slow(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """At schema 3 the bucket -16 ends at 0.25 s: what lies above is slow, also after a reset."""
    name = "took_native"
    start = await exposed(exporter, prometheus, name, 3, {STABLE: {-20: 10, -16: 5, -15: 1}, CANARY: {-16: 3}})
    await exposed(exporter, prometheus, name, 3, {STABLE: {-20: 30, -16: 9, -15: 2}, CANARY: {-16: 8, 0: 4}})
    end = await exposed(exporter, prometheus, name, 3, {STABLE: {-20: 31, -16: 9, -15: 2}, CANARY: {-16: 2, -15: 1}})
    found = await read(prometheus, gate(name, "250ms"), start, end)
    assert found == GateReading("slow", ArmReading(4 + 1, 9 + 3), ArmReading(1, 26))


async def test_a_coarser_schema_keeps_counts_exact(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """A library that merges buckets to save memory goes on counting at a boundary that stays."""
    name = "merged_native"
    start = await exposed(exporter, prometheus, name, 3, {STABLE: {-16: 1}, CANARY: {-20: 6, -16: 3, -15: 1}})
    end = await exposed(exporter, prometheus, name, 1, {STABLE: {-4: 1}, CANARY: {-5: 8, -4: 4, -3: 3}})
    found = await read(prometheus, gate(name, "250ms"), start, end)
    assert found == GateReading("slow", ArmReading(2, 5), ArmReading(0, 0))


async def test_a_threshold_inside_a_bucket_is_refused(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """With the boundaries around it, and powers of two that can be written as a duration."""
    name = "inside_native"
    at = await exposed(exporter, prometheus, name, 3, {STABLE: {-16: 1}, CANARY: {-13: 1}})
    problem = await readings.preflight(prometheus, gate(name, "300ms"), at + LATER)
    assert problem is not None
    assert problem.reason is Reason.BAD_QUERY
    assert "no bucket boundary at 0.3, only 0.297302 and 0.32421 around it" in problem.message
    assert "0.25 or 0.5" in problem.message


async def test_formats_are_not_mistaken_for_each_other(exporter: Exporter, prometheus: HttpPrometheus) -> None:
    """A native histogram as a counter, and a counter as a native histogram, are refused with the way out."""
    at = await exposed(exporter, prometheus, "mistaken_native", 3, {CANARY: {-16: 1}})
    counter = {"bad": "mistaken_native", "total": "mistaken_native"}
    spec = CanaryRolloutSpec.model_validate(
        {
            "targetRef": {"name": "web"},
            "serviceRef": {"name": "web", "port": 80},
            "trafficRouting": {"replicas": {}},
            "analysis": {"gates": [{"name": "errors", "ratio": counter}]},
        }
    )
    problem = await readings.preflight(prometheus, gates.resolve(spec, NAMING), at + LATER)
    assert problem is not None
    assert "latency.format: Native" in problem.message
    with pytest.raises(BadQuery, match="native histograms are read by latency"):
        await prometheus.instant("mistaken_native", at)
    exporter.protobuf, exporter.text = b"", f'plain_total{{pod="{CANARY}"}} 3\n'
    at = await scraped(prometheus, "plain_total", 3)
    problem = await readings.preflight(prometheus, gate("plain_total", "250ms"), at + LATER)
    assert problem is not None
    assert "latency.format: Classic" in problem.message
