"""Candidates compared with a dedicated baseline: real pods, Envoy Gateway, Prometheus, steady load.

Two shops tell their stories at once, with weights below, at and above a half; each test looks at one promise.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.canary.status import CanaryRolloutStatus
from support.load.outcome import Kind
from support.load.tally import Tally
from support.rollouts import FIRST, Pod, Shop, Street
from support.shares import Share, observed_shares
from support.stories import together
from support.timeline import Seen, doing

pytestmark = pytest.mark.cluster

RATE = 130.0
CALM_SECONDS = 3.0
STEPS = [{"setWeight": weight, "minDuration": "4s"} for weight in (20, 50, 75)]


@dataclass(frozen=True, slots=True)
class Record:
    """One candidate beside its baseline, from its release to its end."""

    shop: Shop
    stable: tuple[dict[str, Pod], dict[str, Pod]]
    """The target's pods before and after."""
    beside: tuple[set[str], set[str]]
    """While it was judged: the baseline's pods, and those that the shop's own Service leads to."""
    judged: CanaryRolloutStatus
    """As it was then."""
    end: Seen
    totals: Tally
    failed: list[tuple[str, dict[str, int]]]
    """When requests failed: second and how many of what."""
    shares: list[Share]


def pods_of_service(shop: Shop) -> set[str]:
    """Pods that in-cluster clients of the user's Service reach."""
    slices = shop.grounds.kubectl.list(
        "endpointslices.discovery.k8s.io", shop.namespace, f"kubernetes.io/service-name={shop.name}"
    )
    return {e["targetRef"]["name"] for s in slices for e in s.get("endpoints") or []}


def story(shop: Shop, *, error_rate: float, wait: Callable[[Shop], Seen]) -> Record:
    """Release a version under load and see it to its end."""
    with shop.load(RATE) as load:
        before = shop.stable_pods()
        shop.release("v2", error_rate=error_rate)
        judged = shop.wait(doing(Action.SHIFT, Reason.ANALYZING), 60, "the first weight")
        beside = set(shop.baseline_pods()), pods_of_service(shop)
        end = wait(shop)
        shares = observed_shares(shop, load)
        shop.wait_for(lambda: len(load.seconds(since=end.at)) >= CALM_SECONDS, 15, "some seconds of calm")
    failed = [(f"{second.at:.0f}", lost) for second in load.seconds() if (lost := second.tally.failures())]
    return Record(shop, (before, shop.stable_pods()), beside, judged.status, end, load.between(), failed, shares)


@pytest.fixture(scope="module")
def records(street: Street) -> list[Record]:
    """A bad candidate and a good one, at once."""
    options = {"spec": {"canary": {"baseline": "Dedicated"}, "steps": STEPS}}
    shops = street.open_all(options, options)
    return list(
        together(
            lambda: story(shops[0], error_rate=0.1, wait=Shop.wait_rolled_back),
            lambda: story(shops[1], error_rate=0.002, wait=Shop.wait_promoted),
        )
    )


def test_bad_candidate_is_rolled_back_against_the_baseline(records: list[Record]) -> None:
    """The sentence has the counts of both arms and says which they are."""
    message = records[0].end.status.last_decision.message
    assert message.startswith("rolled back: gate errors: canary ")
    assert ", baseline " in message
    assert records[0].judged.baseline == "Dedicated"


def test_good_candidate_is_promoted_on_evidence(records: list[Record]) -> None:
    """Every gate passed, the split between the two arms included, and stable's own requests were not compared."""
    good = records[1]
    assert good.end.status.history[0].reason is Reason.GATES_PASSED
    gates = {gate.name: gate for gate in good.end.status.gates}
    assert 0 < gates["errors"].baseline.total <= good.totals.count(track="baseline")
    assert gates["split"].canary.total > 0


def test_the_baseline_answers_with_stables_version(records: list[Record]) -> None:
    """All that clients got from it is of the version that was stable."""
    for record in records:
        answers = record.totals.count(track="baseline")
        assert answers > 100
        assert record.totals.count(track="baseline", version=FIRST.name) == answers


def test_no_request_fails(records: list[Record]) -> None:
    """The baseline comes and goes without a failed request."""
    for record in records:
        assert record.failed == [], record.shop.explain()
        assert record.totals.count(kind=Kind.OK) > 1500


def test_shares_are_as_the_weights_say(records: list[Record]) -> None:
    """The canary gets its weight, the baseline as much as there is of that, each within three standard deviations."""
    assert {share.weight for share in records[1].shares} == {20, 50, 75}
    for share in records[1].shares:
        for track, percent in (("canary", share.weight), ("baseline", min(share.weight, 100 - share.weight))):
            assert share.sigmas(track, percent) < 3.0, (track, share)


def test_in_cluster_clients_do_not_reach_the_baseline(records: list[Record]) -> None:
    """The user's Service leads to stable's own pods while a candidate is judged."""
    for record in records:
        baseline, reached = record.beside
        assert baseline
        assert reached == set(record.stable[0])


def test_stable_pods_are_not_touched_by_a_rollback(records: list[Record]) -> None:
    """They are the same ones, none restarted."""
    before, after = records[0].stable
    assert before == after
    assert len(before) == records[0].shop.app.replicas


def test_nothing_of_the_baseline_is_left(records: list[Record]) -> None:
    """Neither after the rollback nor after the promotion; and at rest status says nothing of it."""
    for record in records:
        record.shop.wait_for(record.shop.canary_is_gone, 30, "the end of canary and baseline")
    assert records[1].end.status.baseline == ""
