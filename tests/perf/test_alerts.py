"""From an alert to weight zero: 105 alerts through the real Alertmanager of the cluster, each against a canary at work.

Measured on the local cluster with Envoy Gateway (make cluster-up). Receipt is when the receiver had the request, as the
operator notes it in status.alerts; a weight is written when a watch of the HTTPRoute shows it, which is a little later
than the write. Two moments are told: the canary's weight is a millionth (the next request goes elsewhere), and zero.
"""

import os
import secrets
import statistics
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from chaffinch_operator.canary.clock import parse
from chaffinch_operator.canary.reasons import Action, Reason
from e2e.conftest import cluster as whole_cluster
from perf import figures
from perf.figures import Goal
from support.kubectl import Kubectl
from support.operator import Operator
from support.receiving import Alertmanager, receiving_operator
from support.rollouts import Grounds, Shop, Street
from support.stories import together
from support.timeline import doing

pytestmark = pytest.mark.cluster
cluster = whole_cluster
SHOPS = 3
ROUNDS = int(os.environ.get("CHAFFINCH_BENCH_ROUNDS", "35"))
LIMIT_SECONDS = 2.0
SPEC = {
    "steps": [{"setWeight": 20, "minDuration": "30m"}],
    "analysis": {"gates": [{"name": "restarts", "podRestarts": {"max": 50}}]},
    "alerts": {"matchers": ['alertname="BenchFires"']},
    "scaleDownDelaySeconds": 0,
}


@dataclass(frozen=True, slots=True)
class Firing:
    """One alert; seconds since it was posted to Alertmanager."""

    delivered: float
    """Until the operator received it."""
    faded: float
    """From receipt until the canary's weight was a millionth or less."""
    zero: float
    """From receipt until it was zero."""


@dataclass(slots=True)
class Weights:
    """All weights of the canary that a watch of one HTTPRoute shows, with when."""

    kubectl: Kubectl
    namespace: str
    seen: list[tuple[float, int, int]] = field(default_factory=list)
    """Moment, weight of stable, weight of the canary (0 when it has no backend)."""
    _ending: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Watch in a thread."""
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        self._ending.set()
        if self._thread is not None:
            self._thread.join(20)

    def first(self, since: float, highest: float) -> float:
        """When the canary's share was at or below `highest` for the first time since a moment."""
        shares = ((at, canary / max(1, stable + canary)) for at, stable, canary in self.seen if at >= since)
        return next(at for at, share in shares if share <= highest)

    def _follow(self) -> None:
        with self.kubectl.watch("httproutes.gateway.networking.k8s.io", self.namespace) as watch:
            while not self._ending.is_set():
                event = watch.next(0.5)
                if event is not None:
                    backends = event.object["spec"]["rules"][0]["backendRefs"]
                    weights = [int(b.get("weight", 1)) for b in backends]
                    self.seen.append((time.time(), weights[0], weights[1] if len(weights) > 1 else 0))


@pytest.fixture(scope="module")
def operator(cluster: Grounds) -> Iterator[Operator]:
    """An operator that receives alerts."""
    stem = f"bench-alerts-{secrets.token_hex(3)}"
    with receiving_operator(cluster.access, cluster.kubectl, [f"{stem}-{number}" for number in range(SHOPS)]) as it:
        yield it


@pytest.fixture(scope="module")
def street(cluster: Grounds, operator: Operator) -> Iterator[Street]:
    """Shops of the bench."""
    made = Street(cluster, operator)
    yield made
    made.close()


def story(shop: Shop, alertmanager: Alertmanager) -> list[Firing]:
    """Fire, wait for the end, try the same candidate again."""
    weights = Weights(shop.grounds.kubectl, shop.namespace)
    weights.start()
    try:
        shop.release("candidate")
        return [one(shop, weights, alertmanager, number) for number in range(ROUNDS)]
    finally:
        weights.stop()


def one(shop: Shop, weights: Weights, alertmanager: Alertmanager, number: int) -> Firing:
    """One alert about the canary's pod."""
    shop.wait(doing(Action.SHIFT, Reason.ANALYZING, weight=20), 120, f"the weight of round {number}")
    pod = next(iter(shop.canary_pods()))
    labels = {"alertname": "BenchFires", "namespace": shop.namespace, "pod": pod, "round": str(number)}
    posted = alertmanager.fire({"labels": labels, "startsAt": datetime.now(UTC).isoformat()})
    ended = shop.wait(doing(Action.REJECTED), 120, f"the rollback of round {number}")
    told = ended.status.alerts[0]
    assert "BenchFires" in told.message
    received = parse(told.received_at)
    assert received is not None
    at = received.timestamp()
    if number + 1 < ROUNDS:
        shop.kubectl("annotate", "canaryrollout", shop.name, f"chaffinch.dev/action=retry@{number}", "--overwrite")
    return Firing(at - posted, weights.first(at, 0.00001) - at, weights.first(at, 0.0) - at)


def test_an_alert_leads_to_weight_zero_within_two_seconds(street: Street) -> None:
    """The 99th percentile over a hundred firings and more; the figures go to build/bench/alerts.json."""
    before = figures.machine()
    shops = street.open_all(*[{"spec": SPEC, "replicas": 1}] * SHOPS)
    with Alertmanager(street.grounds.access) as alertmanager:
        told = together(*[lambda s=s: story(s, alertmanager) for s in shops])
    found = [firing for firings in told for firing in firings]
    zero, faded = summary([f.zero for f in found]), summary([f.faded for f in found])
    goals = [
        Goal("seconds from receipt to weight 0, p99", LIMIT_SECONDS, zero["p99"], inclusive=True),
        Goal("seconds from receipt to a millionth, p99", LIMIT_SECONDS, faded["p99"], inclusive=True),
    ]
    figures.write(
        "alerts",
        before,
        {
            "what": f"{len(found)} alerts through Alertmanager on the local cluster, {SHOPS} rollouts at a time; "
            "from receipt of the webhook until a watch shows the HTTPRoute's weight",
            "secondsToZero": zero,
            "secondsToAMillionth": faded,
            "secondsFromAlertmanagersApiToReceipt": summary([f.delivered for f in found]),
            "raw": [[round(v, 4) for v in (f.delivered, f.faded, f.zero)] for f in found],
            "goals": [g.as_json() for g in goals],
        },
    )
    assert len(found) == SHOPS * ROUNDS
    assert all(f.zero >= f.faded for f in found)


def summary(values: list[float]) -> dict[str, Any]:
    """Percentiles by nearest rank."""
    ordered = sorted(values)
    return {
        "count": len(ordered),
        "p50": round(statistics.median(ordered), 4),
        "p99": round(ordered[-(-len(ordered) * 99 // 100) - 1], 4),
        "max": round(ordered[-1], 4),
    }
