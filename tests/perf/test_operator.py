"""The operator at rest: what it writes, reads, needs of memory and CPU with 50 CanaryRollouts, and with none.

A real API server with controllers; requests are counted by the API server's audit log, not by the operator. Every
object is looked at once a minute here (CHAFFINCH_RESYNC_SECONDS=60; the default is five times rarer).
"""

import asyncio
import os
import statistics
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from chaffinch_operator.kube import CANARYROLLOUTS, DEPLOYMENTS, HTTPROUTES, SERVICES
from integration.canary.cases import GATEWAY, gateway_api_installed
from integration.canary.ground import Ground, ground
from integration.canary.world import Shop, deployment, rollout, service
from integration.canary.world import until as until_seen
from integration.core.processes import Process
from integration.core.server import OPERATOR, until
from perf import figures
from perf.figures import Goal
from support.client import connected
from support.fake_prometheus import FakePrometheus

pytestmark = pytest.mark.apiserver

OBJECTS = 50
RUNS = int(os.environ.get("CHAFFINCH_BENCH_RUNS", "3"))
SECONDS = 60.0
RESYNC_SECONDS = 60
CALM_SECONDS = 5.0
READS = ("get", "list", "watch")
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Run:
    """One stretch of time."""

    seconds: float
    writes: int
    """Without those of the Lease."""
    lease_writes: int
    reads: int
    cpu_seconds: float
    resident_mib: float
    """At its end."""

    @property
    def cpu_percent(self) -> float:
        """Of one core."""
        return 100 * self.cpu_seconds / self.seconds

    @property
    def reads_per_minute(self) -> float:
        """Requests that read."""
        return 60 * self.reads / self.seconds

    def as_json(self) -> dict[str, Any]:
        """Raw figures and what follows from them."""
        derived = {"cpuPercent": round(self.cpu_percent, 3), "readsPerMinute": round(self.reads_per_minute, 1)}
        return {_camel(k): round(v, 3) for k, v in asdict(self).items()} | derived


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """An API server of our own."""
    yield from ground(tmp_path_factory.mktemp("bench"), controllers=True)


def measure(server: Ground, operator: Process) -> Run:
    """Let it be for a while, and count."""
    position, cpu, started = server.audit.position(), _cpu_seconds(operator), time.monotonic()
    time.sleep(SECONDS)
    seconds = time.monotonic() - started
    used = _cpu_seconds(operator) - cpu
    requests = server.audit.requests(OPERATOR, position)
    verbs = Counter("read" if r.verb in READS else "lease" if r.resource == "leases" else "write" for r in requests)
    return Run(seconds, verbs["write"], verbs["lease"], verbs["read"], used, _resident_mib(operator))


async def populate(server: Ground) -> None:
    """50 shops at rest, with a route each; no pods, so that only the operator is at work."""
    async with connected(server.api.kubeconfig) as kube:
        with FakePrometheus() as prometheus:
            shops = [Shop(kube, prometheus, f"shop-{number}") for number in range(OBJECTS)]
            await shops[0].open()
            await gateway_api_installed(shops[0])
            await until_seen(lambda: _installed(shops[0]), "HTTPRoute is served")
            for shop in shops:
                await shop.open()
                empty = deployment()
                empty["spec"]["replicas"] = 0
                await shop.apply(DEPLOYMENTS, empty)
                await shop.apply(SERVICES, service())
                await shop.apply(CANARYROLLOUTS, rollout(shop.address, trafficRouting=GATEWAY))
            for shop in shops:
                await shop.wait(lambda s: s.conditions[0].status == "True", "rest")


async def _installed(shop: Shop) -> bool:
    return await shop.kube.serves(HTTPROUTES)


def settle(server: Ground) -> None:
    """Return after some seconds without a write."""

    async def calm() -> bool:
        position = server.audit.position()
        await asyncio.sleep(CALM_SECONDS)
        return not server.audit.writes(OPERATOR, position)

    asyncio.run(until(calm))


def test_operator_at_rest_writes_nothing(server: Ground) -> None:
    """With 50 CanaryRollouts at rest nothing but the Lease is written; the figures go to build/bench/operator.json."""
    before = figures.machine()
    operator = server.operator(CHAFFINCH_RESYNC_SECONDS=str(RESYNC_SECONDS))
    asyncio.run(until(operator.ready_leader))
    settle(server)
    baseline = [measure(server, operator) for _ in range(RUNS)]
    asyncio.run(populate(server))
    settle(server)
    runs = [measure(server, operator) for _ in range(RUNS)]
    summary, base = _summary(runs), _summary(baseline)
    goals = [
        Goal("writes but the Lease's in each run", 0, max(r.writes for r in runs), inclusive=True),
        Goal("resident MiB", 150, summary["residentMib"]),
        Goal("CPU, percent of a core", 2, summary["cpuPercent"]),
    ]
    figures.add(
        "operator",
        "atRest",
        before,
        {
            "what": f"operator at rest with {OBJECTS} CanaryRollouts; baseline: the same process before, with none",
            "settings": {"resyncSeconds": RESYNC_SECONDS, "seconds": SECONDS, "numberOfRuns": RUNS},
            "runs": [r.as_json() for r in runs],
            "baselineRuns": [r.as_json() for r in baseline],
            "median": summary,
            "baselineMedian": base,
            "ratioToBaseline": {k: round(summary[k] / base[k], 2) for k in summary if base[k]},
            "goals": [g.as_json() for g in goals],
        },
    )
    assert operator.popen.poll() is None
    assert goals[0].met, runs


def _summary(runs: list[Run]) -> dict[str, float]:
    """Medians over the runs."""
    return {
        "residentMib": round(statistics.median(r.resident_mib for r in runs), 1),
        "cpuPercent": round(statistics.median(r.cpu_percent for r in runs), 3),
        "readsPerMinute": round(statistics.median(r.reads_per_minute for r in runs), 1),
        "writes": statistics.median(r.writes for r in runs),
        "leaseWrites": statistics.median(r.lease_writes for r in runs),
    }


def _cpu_seconds(process: Process) -> float:
    fields = Path(f"/proc/{process.popen.pid}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _resident_mib(process: Process) -> float:
    lines = Path(f"/proc/{process.popen.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS:")) / 1024


def _camel(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)
