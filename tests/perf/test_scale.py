"""The operator at scale: a thousand rollouts in flight on one core, and ten thousand at rest.

A real API server, real controllers, no nodes: pods run by name only, a stand-in accepts routes, another serves counters
in place of Prometheus. Requests are counted by the API server's audit log and by that stand-in, not by the operator.
"""

import asyncio
import os
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from chaffinch_operator.kube import DEPLOYMENTS, HTTPROUTES, REPLICASETS, Kube
from integration.canary import world
from integration.canary.cases import gateway_api_installed
from integration.canary.ground import Ground, ground
from integration.core.processes import Process
from integration.core.server import OPERATOR, until
from perf import figures, fleet
from perf.figures import Goal
from perf.fleet import Shop, Usage
from support.accepting_gateway import AcceptingGateway
from support.audit import Request
from support.client import connected
from support.counters import Counters
from support.fake_prometheus import FakePrometheus
from support.nodeless import NodelessPods

pytestmark = pytest.mark.apiserver

IN_FLIGHT = int(os.environ.get("CHAFFINCH_BENCH_ROLLOUTS", "1000"))
IDLE = int(os.environ.get("CHAFFINCH_BENCH_IDLE", "10000"))
SECONDS = float(os.environ.get("CHAFFINCH_BENCH_SECONDS", "180"))
IDLE_SECONDS = float(os.environ.get("CHAFFINCH_BENCH_IDLE_SECONDS", "120"))
PATIENCE = 1800.0
CALM_SECOND = 45
"""Of a minute: what fell due at its beginning is done by then."""
IN_CALM = 60
"""So many rollouts reach their next weight before another interval falls due."""
CORE = 0
MANY = ("--max-requests-inflight=2000", "--service-cluster-ip-range=10.0.0.0/12")
FAST = (
    "--controllers=*,-node-lifecycle-controller,-endpoints-controller",
    "--kube-api-qps=1000",
    "--kube-api-burst=2000",
    "--concurrent-deployment-syncs=20",
)
READS = frozenset({"get", "list", "watch"})


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Ground]:
    """An API server of our own with controllers."""
    yield from ground(tmp_path, *MANY, controllers=True, controller_flags=FAST)


@pytest.fixture
def bare_server(tmp_path: Path) -> Iterator[Ground]:
    """An API server of our own, no more."""
    yield from ground(tmp_path, *MANY, controllers=False)


def start(server: Ground, identity: str = "a") -> Process:
    """The operator on one core, ready."""
    operator = server.operator(identity)
    os.sched_setaffinity(operator.popen.pid, {CORE})
    asyncio.run(until(operator.ready_leader, PATIENCE))
    return operator


async def routes_served(kube: Kube) -> None:
    """Return once HTTPRoutes are served."""
    with FakePrometheus() as nobody:
        await gateway_api_installed(world.Shop(kube, nobody, "none"))
    await world.until(lambda: kube.serves(HTTPROUTES), "HTTPRoute is served")


async def reached(count: Callable[[], Awaitable[int]], wanted: int, what: str) -> float:
    """Seconds until so many are counted."""
    started = time.monotonic()

    async def enough() -> bool:
        found = await count()
        print(f"{time.monotonic() - started:6.0f} s: {what}: {found} of {wanted}", flush=True)  # noqa: T201 - long work
        await asyncio.sleep(0 if found >= wanted else 2)
        return found >= wanted

    await until(enough, PATIENCE)
    return time.monotonic() - started


def kinds(requests: list[Request]) -> dict[str, int]:
    """Requests by verb and resource, most first."""
    return dict(Counter(f"{r.verb} {r.resource}" for r in requests if r.resource != "leases").most_common())


def writes(requests: list[Request]) -> int:
    """Requests that write, but the Lease's."""
    return sum(1 for r in requests if r.writes and r.resource != "leases")


def lateness(requests: list[Request], interval: int) -> list[float]:
    """Seconds from when an interval could be read first to each status write: all rollouts share the grid."""
    return [(r.at - fleet.QUERY_OFFSET_SECONDS) % interval for r in requests if r.resource == "canaryrollouts/status"]


def steady(server: Ground, operator: Process, counters: Counters, seconds: float, count: int) -> dict[str, Any]:
    """Let it be for whole intervals, from the calm middle of one on, and report."""
    time.sleep((CALM_SECOND - time.time()) % fleet.INTERVAL_SECONDS)
    counters.queries.clear()
    position, before, metrics, began = server.audit.position(), Usage.of(operator), fleet.scrape(operator), time.time()
    time.sleep(seconds)
    after, grown = Usage.of(operator), fleet.scrape(operator)
    seconds = time.time() - began
    requests, minutes = server.audit.requests(OPERATOR, position), seconds / 60
    passes = fleet.histogram(metrics, grown, "chaffinch_reconcile_seconds")
    late = lateness(requests, fleet.INTERVAL_SECONDS)
    reads = sum(1 for r in requests if r.verb in READS)
    return {
        "seconds": round(seconds, 1),
        "passesPerRolloutAndMinute": round(passes[-1][1] / count / minutes, 2),
        "reconcileSecondsAtMost": {"p50": fleet.quantile(passes, 0.5), "p99": fleet.quantile(passes, 0.99)},
        "shareOfPassesWithinOneSecond": round(dict(passes)[1.0] / passes[-1][1], 4) if passes[-1][1] else None,
        "lateSeconds": {f"p{p}": round(fleet.percentile(late, p / 100), 2) for p in (50, 99)},
        "writesPerRolloutAndMinute": round(writes(requests) / count / minutes, 3),
        "readsPerRolloutAndMinute": round(reads / count / minutes, 2),
        "readsPerSecond": round(reads / seconds, 1),
        "requests": kinds(requests),
        "queriesPerMinute": round(counters.queries.total() / minutes, 1),
        "queries": dict(counters.queries),
        "cpuPercentOfOneCore": round(100 * (after.cpu_seconds - before.cpu_seconds) / seconds, 1),
        "residentMib": round(after.resident_mib, 1),
        "peakMib": round(after.peak_mib, 1),
    }


def judged(weight: int) -> Callable[[dict[str, Any]], bool]:
    """Status of a rollout whose weight is confirmed and whose first interval was read."""
    return lambda status: (
        (status.get("weight") or {}).get("applied") == weight
        and status.get("phase") == ("Paused" if weight == fleet.WEIGHT else "Analyzing")
        and any((gate.get("canary") or {}).get("total") for gate in status.get("gates") or [])
    )


async def take_off(server: Ground, shops: list[Shop], counters: Counters) -> dict[str, float]:
    """Make the shops, release them all at once, and wait until each is judged; seconds of each part."""
    async with connected(server.api.kubeconfig) as kube:
        await routes_served(kube)

        async def nothing(_: Shop) -> None:
            """The controllers do it."""

        await fleet.populate(kube, shops, counters.address, finish=nothing)
        at_rest = await reached(
            lambda: fleet.count(kube, lambda s: s.get("phase") == "Idle"), len(shops), "rollouts at rest"
        )
        owners = {
            (r["metadata"]["namespace"], r["metadata"]["ownerReferences"][0]["name"]): r["metadata"]["name"]
            for r in await kube.list(REPLICASETS)
        }
        for shop in shops:
            counters.add(shop.series(owners[shop.namespace, shop.name]))
        started = time.monotonic()
        await fleet.release(kube, shops)
        await reached(lambda: fleet.count(kube, judged(fleet.WEIGHT)), len(shops), "rollouts judged")
        return {"atRest": round(at_rest, 1), "fromTemplatesToFirstEvidence": round(time.monotonic() - started, 1)}


async def to_next_weight(kube: Kube, shops: list[Shop], marks: list[float]) -> None:
    """Promote some to the next weight at once; `marks` gets when all routes have it, and when all is done."""
    names = fleet.names(shops)
    await fleet.promote(kube, shops)
    routes = reached(lambda: fleet.routes_at(kube, fleet.NEXT_WEIGHT, names), len(shops), "routes at the next weight")
    marks.append(await routes)
    at_weight = judged(fleet.NEXT_WEIGHT)
    confirmed = reached(lambda: fleet.count(kube, at_weight, names), len(shops), "weights confirmed")
    marks.append(marks[0] + await confirmed)


async def writes_of_a_step(server: Ground, shops: list[Shop]) -> dict[str, Any]:
    """What a step writes and nothing else: in the calm of a minute, where no interval falls due."""
    async with connected(server.api.kubeconfig) as kube:
        await asyncio.sleep((CALM_SECOND - time.time()) % fleet.INTERVAL_SECONDS)
        before = await fleet.intervals_counted(kube, fleet.names(shops))
        position, marks = server.audit.position(), list[float]()
        await to_next_weight(kube, shops, marks)
        counted = await fleet.intervals_counted(kube, fleet.names(shops)) - before
    namespaces = {shop.namespace for shop in shops}
    requests = [r for r in server.audit.requests(OPERATOR, position) if r.writes and r.namespace in namespaces]
    return {
        "rollouts": len(shops),
        "seconds": round(marks[1], 1),
        "writesPerRollout": round(writes(requests) / len(shops), 2),
        "writes": kinds(requests),
        "intervalsCountedMeanwhile": counted,
    }


async def next_step(server: Ground, shops: list[Shop]) -> dict[str, Any]:
    """Promote all of them to the next weight at the same moment; evidence of that time is counted, too."""
    position, marks = server.audit.position(), list[float]()
    async with connected(server.api.kubeconfig) as kube:
        await to_next_weight(kube, shops, marks)
    requests = server.audit.requests(OPERATOR, position)
    return {
        "secondsToTheLastRoute": round(marks[0], 1),
        "seconds": round(marks[1], 1),
        "writesPerRollout": round(writes(requests) / len(shops), 2),
        "requests": kinds(requests),
    }


def test_a_thousand_rollouts_in_flight(server: Ground) -> None:
    """All go on and none is lost; the figures, against the goals, go to build/bench/operator.json."""
    before, shops = figures.machine(), Shop.some(IN_FLIGHT)
    with ExitStack() as stack:
        counters = stack.enter_context(Counters(time.time()))
        stack.enter_context(NodelessPods(server.api.kubeconfig))
        stack.enter_context(AcceptingGateway(server.api.kubeconfig))
        operator = start(server)
        ramp = asyncio.run(take_off(server, shops, counters))
        flight = steady(server, operator, counters, SECONDS, len(shops))
        few = min(IN_CALM, len(shops) // 2)
        calm = asyncio.run(writes_of_a_step(server, shops[:few]))
        step = asyncio.run(next_step(server, shops[few:]))
        usage = Usage.of(operator)
    evidence = flight["writesPerRolloutAndMinute"]
    goals = [
        Goal("p99 of a pass in seconds (upper bound of its bucket)", 1, flight["reconcileSecondsAtMost"]["p99"], True),
        Goal("API writes per rollout and step", 5, calm["writesPerRollout"], True),
        Goal("API writes per rollout and interval (1: the evidence)", 1.05, evidence, True),
        Goal("Prometheus queries a minute", 20, flight["queriesPerMinute"], True),
        Goal("peak resident MiB", 512, round(usage.peak_mib, 1), True),
        Goal("CPU, percent of one core", 100, flight["cpuPercentOfOneCore"]),
    ]
    figures.add(
        "operator",
        "inFlight",
        before,
        {
            "what": f"{len(shops)} CanaryRollouts in flight at once, {len(fleet.GATES)} gates each, interval "
            f"{fleet.INTERVAL_SECONDS} s, in namespaces of {fleet.PER_NAMESPACE}; the operator on one core",
            "standIns": "pods without nodes, a gateway that accepts every route, counters in place of Prometheus; "
            "API server, etcd, Deployment, ReplicaSet and EndpointSlice controllers are real",
            "rampSeconds": ramp,
            "steady": flight,
            "stepOfAFew": calm,
            "stepOfAllOthers": step,
            "peakMib": round(usage.peak_mib, 1),
            "goals": [g.as_json() for g in goals],
        },
    )
    assert operator.popen.poll() is None
    assert evidence > 0.5, "evidence was written"


async def lay_down(server: Ground, shops: list[Shop]) -> float:
    """Make the shops with targets whose status says that they run, and wait for rest."""
    async with connected(server.api.kubeconfig) as kube:
        await routes_served(kube)

        async def finish(shop: Shop) -> None:
            counts = dict.fromkeys(("replicas", "updatedReplicas", "readyReplicas", "availableReplicas"), 1)
            patch = {"status": {"observedGeneration": 1, **counts}}
            await kube.patch(DEPLOYMENTS, shop.name, shop.namespace, patch, subresource="status")

        await fleet.populate(kube, shops, "http://127.0.0.1:1", finish=finish)
        return await reached(
            lambda: fleet.count(kube, lambda s: s.get("phase") == "Idle"), len(shops), "rollouts at rest"
        )


def test_ten_thousand_at_rest(bare_server: Ground) -> None:
    """Nothing but the Lease is written; the figures, against the goals, go to build/bench/operator.json."""
    before, shops = figures.machine(), Shop.some(IDLE)
    operator = start(bare_server)
    to_rest = asyncio.run(lay_down(bare_server, shops))
    with Counters(time.time()) as nobody:
        rest = steady(bare_server, operator, nobody, IDLE_SECONDS, len(shops))
        usage = Usage.of(operator)
        operator.popen.terminate()
        operator.popen.wait(60)
        began = time.monotonic()
        operator = start(bare_server, "b")
        to_ready, again = time.monotonic() - began, Usage.of(operator)
    written = sum(n for kind, n in rest["requests"].items() if kind.split()[0] not in READS)
    goals = [
        Goal("writes but the Lease's", 0, written, True),
        Goal("peak resident MiB", 1024, round(max(usage.peak_mib, again.peak_mib), 1), True),
        Goal("CPU, percent of one core", 100, rest["cpuPercentOfOneCore"]),
    ]
    figures.add(
        "operator",
        "idle",
        before,
        {
            "what": f"{len(shops)} CanaryRollouts at rest, resync every 300 s, the operator on one core",
            "standIns": "no controllers: the bench writes the status of the targets itself",
            "secondsToRest": round(to_rest, 1),
            "steady": rest,
            "peakMib": round(usage.peak_mib, 1),
            "restart": {
                "what": "another process takes over all of them: until each had its first pass",
                "seconds": round(to_ready, 1),
                "cpuSeconds": round(again.cpu_seconds, 1),
                "peakMib": round(again.peak_mib, 1),
            },
            "goals": [g.as_json() for g in goals],
        },
    )
    assert operator.popen.poll() is None
    assert goals[0].met, rest["requests"]
