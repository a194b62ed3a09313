"""Builders for tests of replays: specs, and histories as rows of a CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from chaffinch_operator.canary import backtest, csv_history
from chaffinch_operator.canary.backtest import Point
from chaffinch_operator.canary.gates import ResolvedGate, resolve
from chaffinch_operator.canary.judgement import Thresholds
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.sources import Naming

START = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HEADER = "interval_end,arm,gate,bad,total"
NAMING = Naming("shop", "web", "web-", "web-canary-")
ERRORS: dict[str, Any] = {"name": "errors", "ratio": {"bad": "bad_total", "total": "all_total"}, "dispersion": "1"}
SLOW: dict[str, Any] = {**ERRORS, "name": "slow"}
SLO: dict[str, Any] = {
    "name": "slo",
    "objective": {"bad": "bad_total", "total": "all_total", "maxRatio": "0.05"},
    "dispersion": "1",
}
SPLIT: dict[str, Any] = {"name": "split", "sampleRatio": {}}
RESTARTS: dict[str, Any] = {"name": "restarts", "podRestarts": {"max": 1}}


def spec(*gates: dict[str, Any], steps: Sequence[dict[str, Any]] | None = None, **more: Any) -> CanaryRolloutSpec:
    """A spec of one-minute intervals; without steps, as if none were written."""
    body: dict[str, Any] = {
        "targetRef": {"name": "web"},
        "serviceRef": {"name": "web", "port": 80},
        "trafficRouting": {"gatewayAPI": {"parentRefs": [{"name": "public"}]}},
        "analysis": {"interval": "1m", "gates": list(gates or [ERRORS])},
        **more,
    }
    return CanaryRolloutSpec.model_validate(body if steps is None else {**body, "steps": list(steps)})


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a CSV, in minutes after START."""

    minute: int
    arm: str
    gate: str
    bad: int
    total: int

    @property
    def text(self) -> str:
        """As a line."""
        at = (START + self.minute * MINUTE).isoformat()
        return f"{at},{self.arm},{self.gate},{self.bad},{self.total}"


def interval(minute: int, canary: tuple[int, int], baseline: tuple[int, int], gate: str = "errors") -> list[Row]:
    """Both rows of a gate in one interval."""
    return [Row(minute, "canary", gate, *canary), Row(minute, "baseline", gate, *baseline)]


def minutes(count: int, canary: tuple[int, int], baseline: tuple[int, int], gate: str = "errors") -> list[Row]:
    """As many equal intervals."""
    return [row for minute in range(1, count + 1) for row in interval(minute, canary, baseline, gate)]


GOOD, BAD = ((20, 2000), (20, 2000)), ((60, 2000), (20, 2000))


def csv(rows: Iterable[Row]) -> list[str]:
    """The lines of a file."""
    return [HEADER, *(row.text for row in rows)]


def gates_of(of: CanaryRolloutSpec) -> tuple[ResolvedGate, ...]:
    """The gates, resolved."""
    return resolve(of, NAMING)


def replay(of: CanaryRolloutSpec, rows: Iterable[Row], **plan: Any) -> list[Point]:
    """What a spec makes of rows."""
    gates = gates_of(of)
    recording = csv_history.parse(csv(rows), [g.name for g in gates])
    acting = backtest.absent_restarts(gates, recording.present)
    found = csv_history.readings(recording, gates, recording.interval(60.0))
    return list(backtest.replay(acting, Thresholds.of(of, gates), backtest.plan_of(of, **plan), found))
