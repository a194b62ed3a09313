"""The evidence of a rollout computed again from Prometheus, by the operator's own pure functions, undisturbed.

Also a program, because Prometheus is reached from inside the cluster's network only: JSON in, JSON out.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from chaffinch_operator.canary import clock, evidence, readings, sizing
from chaffinch_operator.canary.gates import ResolvedGate, resolve
from chaffinch_operator.canary.judgement import Thresholds
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.snapshot import IntervalReading
from chaffinch_operator.canary.status import CanaryRolloutStatus, GateStatus
from chaffinch_operator.cli import past_readings
from chaffinch_operator.ports.prometheus import PrometheusServers
from chaffinch_operator.schema import seconds


def replayed(
    prefix: Sequence[str], rollout: dict[str, Any], course: Sequence[CanaryRolloutStatus]
) -> dict[str, GateStatus]:
    """The gates by name as they must stand at the end of a course of statuses, computed where `prefix` leads."""
    done = subprocess.run(
        [*prefix, sys.executable, "-m", "support.replay"],
        input=json.dumps({"rollout": rollout, "course": [s.model_dump(mode="json", by_alias=True) for s in course]}),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = [GateStatus.model_validate(one) for one in json.loads(done.stdout)]
    return {gate.name: gate for gate in found}


def replay(
    spec: CanaryRolloutSpec, namespace: str, name: str, course: Sequence[CanaryRolloutStatus]
) -> list[GateStatus]:
    """The gates as they must stand at the end of a course of statuses: one candidate, from its first weight on."""
    last = course[-1]
    assert last.stable is not None
    stable = last.stable if last.candidate else next(s.stable for s in course if s.analysis_started_at and s.stable)
    gates = resolve(spec, past_readings.naming(spec, namespace, name, stable.hash))
    found = asyncio.run(_read(spec, gates, intervals(spec, last)))
    folded = tuple(_as_calibrated(gate) for gate in last.gates)
    for reading in found:
        at_the_time = next(s for s in course if _at(s.interval_end) >= reading.end)
        folded = _fold(spec, gates, folded, reading, at_the_time)
    return list(folded)


def _as_calibrated(gate: GateStatus) -> GateStatus:
    """What was fixed before the first look, and no evidence."""
    kept = {"name", "design", "dispersion", "dispersion_source", "method"}
    return GateStatus.model_validate(gate.model_dump(include=kept))


def intervals(spec: CanaryRolloutSpec, last: CanaryRolloutStatus) -> list[tuple[datetime, datetime]]:
    """The grid from the end of the warm-up to the last interval that was read, each interval once."""
    length = timedelta(seconds=seconds(spec.analysis.interval))
    warm = _at(last.analysis_started_at) + timedelta(seconds=seconds(spec.analysis.warmup))
    start, out = clock.ceil_to_grid(warm, length.total_seconds()), []
    while start < _at(last.interval_end):
        out.append((start, start + length))
        start += length
    return out


async def _read(
    spec: CanaryRolloutSpec, gates: Sequence[ResolvedGate], wanted: Sequence[tuple[datetime, datetime]]
) -> tuple[IntervalReading, ...]:
    assert spec.analysis.provider is not None
    settled = timedelta(seconds=seconds(spec.analysis.query_offset))
    async with PrometheusServers() as servers:
        prometheus = servers.get(spec.analysis.provider.prometheus.address)
        found, problem = await readings.read(prometheus, gates, wanted, settled)
    assert problem is None, problem
    return found


def _fold(
    spec: CanaryRolloutSpec,
    gates: Sequence[ResolvedGate],
    folded: tuple[GateStatus, ...],
    reading: IntervalReading,
    status: CanaryRolloutStatus,
) -> tuple[GateStatus, ...]:
    since = _at(status.weight.since)
    settled = since + timedelta(seconds=seconds(spec.analysis.query_offset))
    if reading.start < settled and reading.end > since:
        return folded
    dedicated = spec.canary.baseline == "Dedicated"
    share = sizing.split_share(status.weight.applied, dedicated=dedicated) if reading.start >= settled else None
    return evidence.fold(gates, folded, reading, share, Thresholds.of(spec, gates))


def _at(text: str) -> datetime:
    return clock.parse(text) or clock.EPOCH


def main() -> None:
    """Read a rollout and its course from standard input, write its gates."""
    given = json.load(sys.stdin)
    spec, meta = CanaryRolloutSpec.model_validate(given["rollout"]["spec"]), given["rollout"]["metadata"]
    course = [CanaryRolloutStatus.model_validate(one) for one in given["course"]]
    gates = replay(spec, meta["namespace"], meta["name"], course)
    json.dump([gate.model_dump(mode="json", by_alias=True) for gate in gates], sys.stdout)


if __name__ == "__main__":
    main()
