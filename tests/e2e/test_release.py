"""Good candidates are promoted and bad ones rolled back: real pods, Envoy Gateway, Prometheus, steady load.

Two shops tell their stories at once, one applied client-side, one server-side; each test looks at one promise.
"""

import re
from dataclasses import dataclass

import pytest

from chaffinch_operator.canary.reasons import Action, Reason
from support.drift import DriftWatch
from support.load.outcome import Kind
from support.load.tally import Tally
from support.rollouts import FIRST, Pod, Shop, Street
from support.shares import Share, observed_shares
from support.stories import together
from support.timeline import Seen, doing

pytestmark = pytest.mark.cluster

RATE = 130.0
CALM_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Record:
    """One shop's story: a bad candidate, a good one, and back to the first in an emergency."""

    shop: Shop
    pods: tuple[dict[str, Pod], dict[str, Pod]]
    """Stable's pods before the bad candidate and after its rollback."""
    rolled_back: Seen
    promoted: Seen
    back: Seen
    back_decisions: list[tuple[Action, Reason]]
    totals: Tally
    failed: list[tuple[str, dict[str, int]]]
    """When requests failed: second and how many of what."""
    shares: list[Share]
    drift: DriftWatch


def story(shop: Shop, bad: dict[str, float]) -> Record:
    """Release a bad version, a good one, and the first again."""
    with shop.load(RATE) as load, DriftWatch(shop) as drift:
        before = shop.stable_pods()
        shop.release("bad", error_rate=bad.get("error_rate", 0.002), slow_rate=bad.get("slow_rate", 0.0), delay_ms=800)
        rolled_back = shop.wait_rolled_back()
        after = shop.stable_pods()
        shop.wait_for(lambda: "RolledBack" in drift.phases, 20, "a diff after the rollback")
        shop.release("good")
        promoted = shop.wait_promoted()
        shares = observed_shares(shop, load)
        position = shop.release_version(FIRST)
        back = shop.wait(doing(Action.IDLE), 60, "the known revision at rest")
        shop.wait_for(lambda: len(load.seconds(since=back.at)) >= CALM_SECONDS, 15, "some seconds of calm")
    return Record(
        shop,
        (before, after),
        rolled_back,
        promoted,
        back,
        shop.timeline.decisions(position),
        load.between(),
        [(f"{second.at:.0f}", lost) for second in load.seconds() if (lost := second.tally.failures())],
        shares,
        drift,
    )


@pytest.fixture(scope="module")
def records(street: Street) -> list[Record]:
    """Both stories, run at once."""
    shops = street.open_all({"server_side": False}, {"server_side": True})
    return list(together(lambda: story(shops[0], {"error_rate": 0.03}), lambda: story(shops[1], {"slow_rate": 0.15})))


def test_candidate_with_errors_is_rolled_back(records: list[Record]) -> None:
    """A candidate that answers 3 % of requests with errors is rolled back by the gate of errors."""
    end = records[0].rolled_back
    assert end.reason is Reason.ROLLED_BACK
    assert end.status.last_decision.message.startswith("rolled back: gate errors:")


def test_slow_candidate_is_rolled_back(records: list[Record]) -> None:
    """A candidate that is slow in 15 % of requests is rolled back by the gate of latency."""
    assert records[1].rolled_back.status.last_decision.message.startswith("rolled back: gate latency:")


def test_rollback_names_the_counts(records: list[Record]) -> None:
    """The sentence of the decision has bad and all requests of both arms."""
    counts = r"[\d,]+ of [\d,]+ \([\d.]+ %\)"
    for record in records:
        assert re.search(f"canary {counts}, stable {counts}", record.rolled_back.status.last_decision.message)


def test_good_candidate_is_promoted(records: list[Record]) -> None:
    """A candidate as good as stable is promoted on evidence, and the sentence has the counts of every gate."""
    for record in records:
        assert record.promoted.status.history[0].reason is Reason.GATES_PASSED
        assert re.search(
            r"errors: canary [\d,]+ of [\d,]+.*latency: .*split: .*restarts: ",
            record.promoted.status.last_decision.message,
        )


def test_no_request_fails(records: list[Record]) -> None:
    """Neither a rollback, a promotion nor an emergency release fails a single request of a client."""
    for record in records:
        assert record.failed == [], record.shop.explain()
        assert record.totals.count(kind=Kind.OK) > 5000


def test_no_stable_pod_is_touched_by_a_rollback(records: list[Record]) -> None:
    """Stable's pods are the same ones after a canary and its rollback, none restarted."""
    for record in records:
        before, after = record.pods
        assert before == after
        assert len(before) == record.shop.app.replicas


def test_traffic_is_split_as_the_weights_say(records: list[Record]) -> None:
    """At every weight the share that clients saw is within three standard deviations of it."""
    for record in records:
        assert {share.weight for share in record.shares} == {10, 50}
        assert all(share.sigmas("canary", share.weight) < 3.0 for share in record.shares), record.shares


def test_cluster_has_what_git_says_in_every_phase(records: list[Record]) -> None:
    """Kubectl diff of Deployment, Service and CanaryRollout is empty throughout, client-side and server-side."""
    for record in records:
        assert not record.drift.found, record.drift.found[0]
        assert record.drift.phases >= {"Analyzing", "RolledBack", "Promoting"}


def test_emergency_revert_needs_no_canary(records: list[Record]) -> None:
    """The manifest before a promotion, applied again, is released at once as a known revision."""
    for record in records:
        reasons = {reason for action, reason in record.back_decisions if action is Action.RELEASE}
        assert reasons == {Reason.KNOWN_REVISION}
        assert not {Action.START, Action.SHIFT} & {action for action, _ in record.back_decisions}
        assert record.shop.paused is False
