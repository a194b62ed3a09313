"""Where the evidence comes from: weights by the ratio of pods, counters of the pods, a Prometheus that goes away.

Two shops tell their stories at once: one without a route, one whose Prometheus is out of reach for two minutes.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from chaffinch_operator.canary.reasons import IN_FLIGHT, Action, Reason
from chaffinch_operator.names import canary_name
from support.forwarder import Forwarder
from support.load.tally import Tally
from support.rollouts import Grounds, Pod, Shop, Street
from support.stories import together
from support.timeline import Seen, doing

pytestmark = pytest.mark.cluster

OUTAGE_SECONDS = 120.0
"""Forty intervals."""
REPLICAS = {
    "trafficRouting": {"gatewayAPI": None, "replicas": {}},
    "steps": [{"setWeight": 25, "minDuration": "3s"}, {"setWeight": 50, "minDuration": "3s"}],
    "analysis": {
        "gates": [
            {"name": "errors", "template": "PodHTTPErrors", "safeBelow": "0.02"},
            {"name": "restarts", "podRestarts": {"max": 0}},
        ]
    },
}


@dataclass(frozen=True, slots=True)
class ByPods:
    """A rollout without a route."""

    promoted: Seen
    rolled_back: Seen
    weights: list[tuple[int, int]]
    """Decided and applied weight while analysing, each once."""
    selectors: set[str]
    pods: tuple[dict[str, Pod], dict[str, Pod]]
    routes: int
    totals: Tally
    canary_gone: bool


def by_pods(shop: Shop) -> ByPods:
    """A good candidate is promoted, then one with errors is rolled back; clients come by the Service itself."""
    service = shop.get("service")
    assert service is not None
    with shop.load(120.0, address=service["spec"]["clusterIP"], new_connections=1.0) as load:
        shop.release("good")
        shop.wait(doing(Action.SHIFT, Reason.ANALYZING), 60, "a canary with traffic")
        selector = shop.selector()
        promoted = shop.wait_promoted()
        before = shop.stable_pods()
        shop.release("bad", error_rate=0.08)
        rolled_back = shop.wait_rolled_back()
        after = shop.stable_pods()
    analyzing = [s for s in shop.timeline.since(0) if doing(Action.SHIFT, Reason.ANALYZING)(s.status)]
    weights = list(dict.fromkeys((s.status.weight.desired, s.status.weight.applied) for s in analyzing))
    routes = len(shop.grounds.kubectl.list("httproutes", shop.namespace))
    services = shop.get("service", canary_name(shop.name))
    assert services is None, "replicas mode has no Service of the canary's own"
    return ByPods(
        promoted, rolled_back, weights, set(selector), (before, after), routes, load.between(), shop.canary_is_gone()
    )


@dataclass(frozen=True, slots=True)
class Outage:
    """A rollout whose Prometheus goes away."""

    during: list[Seen]
    after: list[tuple[Action, Reason]]
    message: str
    held: bool
    failures: dict[str, int]


def outage(shop: Shop, forwarder: Forwarder) -> Outage:
    """Prometheus goes while a good candidate has its first weight, and comes back later."""
    with shop.load(120.0) as load:
        shop.release("good")
        shop.wait(doing(Action.SHIFT, Reason.ANALYZING, weight=10), 60, "a canary with traffic")
        forwarder.stop()
        shop.wait(lambda s: s.last_decision.reason is Reason.PROVIDER_UNREACHABLE, 30, "the outage in the status")
        position, end = shop.timeline.mark() - 1, time.monotonic() + OUTAGE_SECONDS
        shop.wait_for(lambda: time.monotonic() >= end, OUTAGE_SECONDS + 5, "the end of the outage")
        during, held = shop.timeline.since(position), shop.paused
        forwarder.start()
        shop.wait_promoted()
        after = shop.timeline.decisions(position)
    return Outage(during, after, during[0].status.last_decision.message, held, load.between().failures())


@dataclass(frozen=True, slots=True)
class Records:
    """Both."""

    by_pods: ByPods
    outage: Outage


@pytest.fixture(scope="module")
def forwarder(cluster: Grounds) -> Iterator[Forwarder]:
    """The way to Prometheus that can be cut without anybody else's noticing."""
    with Forwarder(cluster.prometheus, cluster.access.command_prefix) as running:
        yield running


@pytest.fixture(scope="module")
def records(street: Street, forwarder: Forwarder) -> Records:
    """Both stories, told at once."""
    behind = {"analysis": {"provider": {"prometheus": {"address": f"http://{forwarder.address}"}}}}
    pods, cut = street.open_all({"spec": REPLICAS}, {"spec": behind})
    return Records(*together(lambda: by_pods(pods), lambda: outage(cut, forwarder)))


def test_candidate_is_promoted_by_pods(records: Records) -> None:
    """Without a route a good candidate is promoted on the pods' own counters."""
    assert records.by_pods.promoted.status.history[0].reason is Reason.GATES_PASSED


def test_candidate_is_rolled_back_by_pods(records: Records) -> None:
    """Without a route a candidate with errors is rolled back by the pods' own counters; stable's pods stay."""
    story = records.by_pods
    assert story.rolled_back.status.last_decision.message.startswith("rolled back: gate errors:")
    assert story.pods[0] == story.pods[1]
    assert story.canary_gone


def test_weight_is_the_ratio_of_pods(records: Records) -> None:
    """With three stable pods the weights 25 and 50 are one and three canary pods, reported as they are."""
    assert records.by_pods.weights == [(25, 25), (50, 50)]


def test_service_spans_both_revisions(records: Records) -> None:
    """Without a route the Service is not narrowed to stable, and no route is made."""
    assert records.by_pods.selectors == {"app"}
    assert records.by_pods.routes == 0


def test_no_request_fails_by_pods(records: Records) -> None:
    """Clients of the Service itself see no failure from promotion and rollback."""
    assert records.by_pods.totals.failures() == {}


def test_outage_of_prometheus_decides_nothing(records: Records) -> None:
    """While Prometheus is out of reach the weight stays, the candidate stays held, and the status says why."""
    outage = records.outage
    assert {s.action for s in outage.during} <= IN_FLIGHT
    assert {s.reason for s in outage.during} == {Reason.PROVIDER_UNREACHABLE}
    assert {s.status.weight.desired for s in outage.during} == {10}
    assert outage.held
    assert "spec.analysis.provider.prometheus" in outage.message


def test_rollout_goes_on_after_the_outage(records: Records) -> None:
    """Once Prometheus answers, the evidence of the time between is read, and the candidate is promoted on it."""
    assert (Action.PROMOTE, Reason.GATES_PASSED) in records.outage.after
    assert records.outage.failures == {}
