"""Two operators and one Lease: the other follows a leader that is killed, stopped or cut off; nothing is twice."""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise

import pytest

from chaffinch_operator.canary import clock
from chaffinch_operator.canary.reasons import Action, Reason
from cluster.deadline import wait_until
from support.behind_proxy import behind_proxy
from support.flow_record import FlowRecord, weight
from support.kubectl import Object
from support.load.tally import Tally
from support.operator import NAMESPACE, Operator
from support.rollouts import Grounds, Shop, Street
from support.stories import together
from support.timeline import Seen, doing

pytestmark = pytest.mark.cluster

RATE = 100.0
FAILOVER_SECONDS = 20.0
HAND_OVER_SECONDS = 6.0
STANDBY = (200, "standby: ok\n")


@dataclass(slots=True)
class Killed:
    """A leader was killed in mid-canary, another went on; then that one was stopped."""

    shop: Shop
    flow: FlowRecord
    standby: tuple[int, str] = (0, "")
    killed_at: float = 0.0
    taken_at: float = 0.0
    first_decision: Seen | None = None
    end: Seen | None = None
    totals: Tally = field(default_factory=Tally)
    stopped_at: float = 0.0
    handed_over_at: float = 0.0
    exit_status: int = -1


@dataclass(slots=True)
class CutOff:
    """A leader lost its way to the API server."""

    ended_at: float = 0.0
    exit_status: int | None = None
    taken_at: float = 0.0


def pair(cluster: Grounds, first: Operator) -> Operator:
    """Another operator for the same Lease and namespaces, standing by."""
    second = Operator(cluster.access, first.namespaces, environ={"CHAFFINCH_LEASE_NAME": first.lease_name})
    second.start()
    wait_until(lambda: bool(second.port) and second.fetch("/readyz") == STANDBY, "a standby", seconds=40, poll=0.2)
    return second


def lead_since(operator: Operator) -> float:
    """When an operator got the Lease, by its own log; waits for that."""
    wait_until(lambda: _taken(operator) > 0, "another leader", seconds=40, poll=0.1, explain=operator.tail)
    return _taken(operator)


def _taken(operator: Operator) -> float:
    found = [e["timestamp"] for e in operator.events() if e.get("event") == "lease_acquired"]
    at = clock.parse(found[-1]) if found else None
    return at.timestamp() if at else 0.0


def killed(cluster: Grounds) -> Iterator[Killed]:
    """The story of the leader that is killed in mid-canary, and of its follower that is stopped."""
    stem = f"e2eb-lead-{secrets.token_hex(3)}"
    first = Operator(cluster.access, [stem], environ={"POD_NAME": f"{stem}-first"})
    street, others = Street(cluster, first), [first]
    try:
        first.start().wait_ready()
        shop = street.open()
        second = pair(cluster, first)
        others.append(second)
        with FlowRecord(cluster.kubectl, shop.namespace) as flow:
            record = Killed(shop, flow, standby=second.fetch("/readyz"))
            _kill(record, first, second)
            first.start()
            wait_until(lambda: first.fetch("/readyz") == STANDBY, "a standby", seconds=40, poll=0.2)
            taken = _taken(first)
            record.stopped_at = time.time()
            record.exit_status = second.terminate()
            wait_until(lambda: _taken(first) > taken, "the hand-over", seconds=40, poll=0.1, explain=first.tail)
            record.handed_over_at = _taken(first)
        yield record
        first.kill()  # it ended with the thread of its story; of the same name, it leads again at once
        first.start()
        street.close()
    finally:
        for operator in others:
            operator.remove()


def _kill(record: Killed, first: Operator, second: Operator) -> None:
    shop = record.shop
    with shop.load(RATE) as load:
        began = time.time()
        shop.release("v2")
        shop.wait(doing(Action.SHIFT, Reason.ANALYZING, weight=10), 60, "the first weight")
        position = shop.timeline.mark()
        record.killed_at = time.time()
        first.kill()
        record.taken_at = lead_since(second)
        record.end = shop.wait_promoted()
        later = [s for s in shop.timeline.since(position) if s.at > record.taken_at]
        record.first_decision = later[0]
        shop.wait_for(lambda: len(load.seconds(since=record.taken_at)) >= 2, 15, "calm")
        record.totals = load.between(since=began)


def cut_off(cluster: Grounds) -> CutOff:
    """The story of the leader that is cut off."""
    with behind_proxy(cluster.access, [f"e2eb-cut-{secrets.token_hex(3)}"]) as (first, proxy):
        first.start().wait_ready()
        second = pair(cluster, first)
        try:
            proxy.stop()
            wait_until(lambda: not first.alive, "the end of the leader", seconds=40, poll=0.05, explain=first.tail)
            ended = time.time()
            return CutOff(ended, first.exit_status, lead_since(second))
        finally:
            second.remove()


@pytest.fixture(scope="module")
def stories(cluster: Grounds) -> Iterator[tuple[Killed, CutOff]]:
    """Both stories at once."""
    killing = killed(cluster)
    one, two = together(lambda: next(killing), lambda: cut_off(cluster))
    assert isinstance(one, Killed)
    assert isinstance(two, CutOff)
    yield one, two
    next(killing, None)


def test_one_stands_by(stories: tuple[Killed, CutOff]) -> None:
    """While one leads, the other is ready and does nothing."""
    assert stories[0].standby == STANDBY


def test_another_leads_soon_after_a_kill(stories: tuple[Killed, CutOff]) -> None:
    """Twenty seconds after kill -9 of the leader, another one leads and has written the first status."""
    record = stories[0]
    assert record.first_decision is not None
    assert record.taken_at - record.killed_at < FAILOVER_SECONDS
    assert record.first_decision.at - record.killed_at < FAILOVER_SECONDS


def test_rollout_ends_as_if_nothing_had_been(stories: tuple[Killed, CutOff]) -> None:
    """The canary that the killed leader had begun is promoted by the other on evidence, and no request fails."""
    record = stories[0]
    assert record.end is not None
    assert (record.end.status.history[0].result, record.end.status.history[0].reason) == ("Promoted", "GatesPassed")
    assert record.totals.failures() == {}, record.shop.explain()


def test_each_weight_is_written_once(stories: tuple[Killed, CutOff]) -> None:
    """No write of the route repeats the one before, and no weight comes before its decision."""
    record = stories[0]
    specs = record.flow.generations(record.shop.name)
    assert [percent for _, percent in record.flow.weights(record.shop.name)] == [10, 50, 0]
    assert all(one != other for one, other in pairwise(specs)), list(map(_weight, specs))
    assert record.flow.undecided_weights(record.shop.name) == []


def test_each_event_comes_once(stories: tuple[Killed, CutOff]) -> None:
    """No decision is told by both operators."""
    events = [(e["reason"], e["eventTime"]) for e in stories[0].shop.events()]
    assert len(events) == len(set(events)) > 5


def test_stopped_leader_hands_over_at_once(stories: tuple[Killed, CutOff]) -> None:
    """SIGTERM gives the Lease back: the other leads within a few seconds."""
    record = stories[0]
    assert record.exit_status == 0
    assert record.handed_over_at - record.stopped_at < HAND_OVER_SECONDS


def test_leader_that_is_cut_off_ends_before_another_leads(stories: tuple[Killed, CutOff]) -> None:
    """Without an answer of the API server it ends itself, with status 1, before the Lease runs out for the others."""
    record = stories[1]
    assert record.exit_status == 1
    assert record.ended_at < record.taken_at


def test_leases_name_their_holders(cluster: Grounds, stories: tuple[Killed, CutOff]) -> None:
    """What kubectl shows of the Lease is who leads, and how often that changed."""
    lease = cluster.kubectl.get("lease", stories[0].shop.operator.lease_name, NAMESPACE)
    assert lease is not None
    assert lease["spec"]["holderIdentity"]
    assert lease["spec"]["leaseTransitions"] == 2


def _weight(spec: Object) -> int:
    return weight({"spec": spec})
