"""kill -9 at every second write of two whole rollouts: nothing is lost, done twice or done undecided.

The operator's way to the API server leads through a proxy that kills it, in turn before and after the API server has
done a write; it is started again at once, as kubelet does. A bad and a good candidate are judged meanwhile.
"""

import re
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from chaffinch_operator.canary import clock
from chaffinch_operator.canary.model import CanaryRolloutSpec
from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.canary.status import CanaryRolloutStatus, GateStatus
from support.behind_proxy import behind_proxy, killed_at_writes
from support.flow_record import FlowRecord
from support.load.tally import Tally
from support.replay import intervals, replayed
from support.rollouts import Grounds, Pod, Shop, Street
from support.stories import together
from support.timeline import Seen

pytestmark = pytest.mark.cluster

RATE = 100.0
SECONDS = 400.0
POINTS = 8
INTERVAL = 5
SPEC = {"progressDeadlineSeconds": 600, "analysis": {"interval": f"{INTERVAL}s"}}
JUDGED = ("errors", "latency", "split")


@dataclass(frozen=True, slots=True)
class Kill:
    """A point of the flow at which the operator was killed."""

    method: str
    resource: str
    action: str
    when: str


@dataclass(slots=True)
class Record:
    """One rollout."""

    shop: Shop
    flow: FlowRecord
    end: Seen
    totals: Tally
    pods: tuple[dict[str, Pod], dict[str, Pod]]
    """Stable's pods before and after."""
    replayed: dict[str, GateStatus]

    @property
    def course(self) -> list[CanaryRolloutStatus]:
        """Statuses from the first weight to the end."""
        return [s for _, s in self.flow.statuses(self.shop.name) if s.analysis_started_at]


def story(shop: Shop, version: str, error_rate: float) -> Record:
    """Release one version under load, and wait for its end."""
    with FlowRecord(shop.grounds.kubectl, shop.namespace) as flow, shop.load(RATE) as load:
        before, began = shop.stable_pods(), time.time()
        shop.release(version, error_rate=error_rate)
        end = shop.wait_rolled_back(SECONDS) if error_rate > 0.01 else shop.wait_promoted(SECONDS)
        shop.wait_for(lambda: len(load.seconds(since=end.at)) >= 2, 15, "calm")
        record = Record(shop, flow, end, load.between(since=began), (before, shop.stable_pods()), {})
    record.replayed = replayed(shop.grounds.access.command_prefix, shop.rollout, record.course)
    return record


@dataclass(slots=True)
class Story:
    """Both rollouts, and where the operator was killed."""

    bad: Record
    good: Record
    kills: list[Kill]


@pytest.fixture(scope="module")
def told(cluster: Grounds) -> Iterator[Story]:
    """Both rollouts, at once, by one operator."""
    stem = f"e2eb-kill-{secrets.token_hex(3)}"
    with behind_proxy(cluster.access, [f"{stem}-{n}" for n in range(2)], POD_NAME=stem) as (operator, proxy):
        operator.start().wait_ready()
        street = Street(cluster, operator)
        shops = street.open_all({"spec": SPEC}, {"spec": SPEC})
        with killed_at_writes(operator, proxy):
            bad, good = together(lambda: story(shops[0], "bad", 0.03), lambda: story(shops[1], "good", 0.002))
        yield Story(bad, good, [k for shop in shops for k in points(shop, proxy.writes())])
        street.close()


def points(shop: Shop, writes: list[dict[str, str]]) -> list[Kill]:
    """The writes of a shop at which the operator was killed."""
    states, found = shop.timeline.since(0), []
    for write in writes:
        path = re.search(rf"/namespaces/{shop.namespace}/(\w+)/?[\w.-]*(/status)?", write["path"])
        if path and write["killed"] != "passed":
            before = [s for s in states if s.at <= float(write["at"])]
            action = before[-1].action if before else Action.IDLE
            found.append(Kill(write["method"], path[1] + (path[2] or ""), action, write["killed"]))
    return found


def test_flow_was_hit_everywhere(told: Story) -> None:
    """The kills hit many different writes in many phases, before and after they were done."""
    assert len({(k.method, k.resource, k.action) for k in told.kills}) >= POINTS, told.kills
    assert {k.when for k in told.kills} == {"before", "after"}


def test_bad_candidate_is_rolled_back_all_the_same(told: Story) -> None:
    """By the gate that proved its harm."""
    assert told.bad.end.status.history[0].result == "RolledBack"
    assert told.bad.end.status.history[0].reason is Reason.GATE_FAILED


def test_good_candidate_is_promoted_all_the_same(told: Story) -> None:
    """On evidence."""
    assert told.good.end.status.history[0].result == "Promoted"
    assert told.good.end.status.history[0].reason is Reason.GATES_PASSED


def test_evidence_is_that_of_an_undisturbed_operator(told: Story) -> None:
    """Every interval is folded in once: counts and sums are those that a replay of Prometheus' data gives."""
    for record in (told.bad, told.good):
        status = {g.name: g for g in record.course[-1].gates}
        assert len(intervals_of(record)) >= 2
        for name in JUDGED:
            was, again = status[name], record.replayed[name]
            assert (was.canary, was.baseline) == (again.canary, again.baseline), name
            assert was.evidence == again.evidence, name


def test_intervals_were_read_in_order(told: Story) -> None:
    """The end of the last interval never goes back, and stays on the grid."""
    for record in (told.bad, told.good):
        ends = [clock.parse(s.interval_end) for s in record.course]
        known = [end for end in ends if end is not None]
        assert known == sorted(known)
        assert all(end.timestamp() % INTERVAL == 0 for end in known)


def test_no_weight_before_its_decision(told: Story) -> None:
    """The route never gets a weight that status did not say before."""
    for record in (told.bad, told.good):
        assert record.flow.weights(record.shop.name)
        assert record.flow.undecided_weights(record.shop.name) == []


def test_bad_template_is_never_released(told: Story) -> None:
    """The Deployment stays held at the bad template, and stable's pods are the ones from before."""
    assert {version for version, _ in told.bad.flow.releases("shop")} <= {"v1"}
    assert told.bad.shop.paused
    before, after = told.bad.pods
    assert before == after


def test_good_template_is_released_by_its_promotion(told: Story) -> None:
    """The Deployment is released once the promotion was decided, not before."""
    actions = {action for version, action in told.good.flow.releases("shop") if version == "good"}
    assert actions <= {Action.PROMOTE, Action.IDLE}
    assert Action.PROMOTE in actions


def test_no_request_fails(told: Story) -> None:
    """What clients saw of it: nothing but the errors of the candidate itself."""
    for record in (told.bad, told.good):
        assert record.totals.failures() == {}, record.shop.explain()
        assert record.totals.requests > 1000


def test_every_decision_has_its_event(told: Story) -> None:
    """A process that is killed between a decision and its Event leaves none out, and none comes twice.

    That a weight is analysed once it is applied is no news, and has no Event.
    """
    for record in (told.bad, told.good):
        decided = news(record)
        events = [(e["reason"], e["eventTime"]) for e in record.shop.events()]
        assert len(events) == len(set(events))
        assert {(reason, _micro(at)) for reason, at in decided} - set(events) == set()


def test_nothing_of_a_canary_is_left(told: Story) -> None:
    """However it ended, the canary is gone, the selector is the user's, and Git shows no drift."""
    for record in (told.bad, told.good):
        assert record.shop.canary_is_gone()
        assert record.shop.selector() == {"app": "shop"}
        record.shop.diff()


def news(record: Record) -> set[tuple[str, str]]:
    """Decisions, each once, by reason and time."""
    decisions = [s.last_decision for s in record.course if s.last_decision.at]
    unheard = {
        d.at for d in decisions if d.reason is Reason.ANALYZING and d.previous_reason in {Reason.STEP_WEIGHT, ""}
    }
    return {(d.reason, d.at) for d in decisions if d.at not in unheard}


def _micro(text: str) -> str:
    at = clock.parse(text)
    assert at is not None
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def intervals_of(record: Record) -> list[object]:
    """Intervals that were read."""
    return list(intervals(CanaryRolloutSpec.model_validate(record.shop.rollout["spec"]), record.course[-1]))
