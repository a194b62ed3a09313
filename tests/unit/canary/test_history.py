"""Reading stable's past: the window, its cost, and what Prometheus may answer."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from chaffinch_operator.canary import history
from chaffinch_operator.canary.gates import ResolvedGate, resolve
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.ports.prometheus import BadQuery, ProviderUnreachable, Sample, Stream
from unit.canary.builders import ERRORS, NAMING, NOW, RESTARTS, SPEC, merged, moment

CAME = moment(7 * 3600 + 17)
"""When the candidate came: between two points of the grid."""


@dataclass
class Past:
    """Answers ranges with counters of two pods that grow evenly, one error in a hundred."""

    since: datetime = NOW
    problem: Exception | None = None
    asked: list[tuple[str, datetime, datetime, timedelta]] = field(default_factory=list)

    async def instant(self, query: str, at: datetime) -> list[Sample]:
        """Nobody asks."""
        raise NotImplementedError

    async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[Stream]:
        """The counters on the grid."""
        self.asked.append((query, start, end, step))
        if self.problem:
            raise self.problem
        every = 100 if "5.." in query else 1
        grid = [start + k * step for k in range(int((end - start) / step) + 1)]
        points = [(at.timestamp(), (at - self.since).total_seconds() * 100 // every) for at in grid if at >= self.since]
        return [Stream({"pod": f"web-hv1-{pod}", "instance": pod}, tuple(points)) for pod in "ab"]


def gates(*listed: dict[str, Any], **analysis: Any) -> tuple[CanaryRolloutSpec, tuple[ResolvedGate, ...]]:
    """A spec and its gates."""
    spec = CanaryRolloutSpec.model_validate(merged(SPEC, {"analysis": {"gates": list(listed), **analysis}}))
    return spec, resolve(spec, NAMING)


async def test_the_window_ends_where_the_candidate_came() -> None:
    """On the grid of the interval, one scrape before; asked again later, the window is the same."""
    past, (spec, listed) = Past(), gates(ERRORS, RESTARTS)
    found, problem = await history.calibrations(past, spec, listed[:1], CAME)
    assert problem is None
    assert [c.source for c in found] == ["History: 2h, two halves of stable's pods, blocks of 90s"]
    assert found[0].dispersion == "1"
    window = (moment(5 * 3600), moment(7 * 3600), timedelta(seconds=30))
    assert [asked[1:] for asked in past.asked] == [window, window]


@pytest.mark.parametrize(
    ("interval", "wanted", "step"), [("1s", "2h", 15), ("30s", "24h", 180), ("10m", "2h", 600), ("1h", "30m", 3600)]
)
async def test_a_history_costs_no_more_than_so_many_points(interval: str, wanted: str, step: int) -> None:
    """A longer one is read in longer steps of whole intervals."""
    past, (spec, listed) = Past(), gates({**ERRORS, "minBaselineHistory": wanted}, interval=interval)
    await history.calibrations(past, spec, listed, CAME)
    _, start, end, asked = past.asked[0]
    assert asked.total_seconds() == step
    assert 1 <= (end - start) / asked < history.MOST_POINTS


async def test_a_young_service_has_too_little() -> None:
    """Ten minutes are told as such; nothing is measured on them."""
    past, (spec, listed) = Past(since=CAME - timedelta(minutes=10)), gates(ERRORS)
    ((found,), _) = await history.calibrations(past, spec, listed, CAME)
    assert found.dispersion == "1"
    assert found.source.startswith("Assumed: 570s of stable's history")


async def test_no_answer_decides_nothing() -> None:
    """The rollout waits, and its reason is the provider."""
    spec, listed = gates(ERRORS)
    found, problem = await history.calibrations(Past(problem=ProviderUnreachable("away")), spec, listed, CAME)
    assert found == ()
    assert problem is not None
    assert problem.reason is Reason.PROVIDER_UNREACHABLE
    assert problem.message == (
        "spec.analysis.provider.prometheus: away, asked for stable's history (minBaselineHistory of gate errors); "
        "nothing is decided until it answers"
    )


async def test_a_range_that_is_refused_is_no_history() -> None:
    """The rollout goes on without; the reason is told."""
    spec, listed = gates(ERRORS)
    ((found,), problem) = await history.calibrations(Past(problem=BadQuery("too large")), spec, listed, CAME)
    assert problem is None
    assert found.source == "Assumed: stable's history cannot be read: too large; set dispersion"


async def test_what_needs_no_history_asks_for_none() -> None:
    """A given dispersion and a harm ratio above one leave nothing to find out."""
    past, (spec, listed) = Past(), gates({**ERRORS, "dispersion": "2", "harmRatio": "1.2"})
    ((found,), _) = await history.calibrations(past, spec, listed, CAME)
    assert (found.dispersion, found.source, past.asked) == ("2", "Spec", [])


async def test_strange_values_are_no_values() -> None:
    """NaN, infinity, negative numbers and moments off the grid."""

    @dataclass
    class Odd(Past):
        async def range(self, query: str, start: datetime, end: datetime, step: timedelta) -> list[Stream]:
            at = start.timestamp()
            points = ((at, float("nan")), (at + 30, float("inf")), (at + 60, -1.0), (at - 900, 1.0), (at + 1e6, 2.0))
            return [Stream({"pod": "web-hv1-a"}, points)]

    spec, listed = gates(ERRORS)
    ((found,), _) = await history.calibrations(Odd(), spec, listed, CAME)
    assert found.source.startswith("Assumed: 0s of stable's history")
