"""Mistakes of users: each is named with its field and way out, nothing is rolled out, nothing loops, the way out works.

Rules that admission enforces (one traffic mode, order of steps and the like) are in tests/integration/crd.
"""

import pytest

from chaffinch_operator.canary.reasons import IN_FLIGHT
from integration.canary.cases import CASES
from integration.canary.stories import Told, World
from integration.core.processes import Process

pytestmark = pytest.mark.apiserver
each = pytest.mark.parametrize("told", [pytest.param(n, id=case.what) for n, case in enumerate(CASES)], indirect=True)


@each
def test_condition_names_the_mistake_and_the_way_out(told: Told) -> None:
    """Ready is False with the reason, and a message that names the field and what to do."""
    ready = next(c for c in told.status.conditions if c.type == "Ready")
    assert (ready.status, ready.reason) == ("False", told.case.reason)
    for part in told.case.says:
        assert part in ready.message


@each
def test_condition_says_whether_a_person_must_act(told: Told) -> None:
    """Stalled where nothing goes on until somebody acts, Reconciling where it goes on by itself; never both."""
    conditions = {c.type: c.status for c in told.status.conditions}
    assert (conditions["Stalled"] == "True") is told.case.stalled
    assert (conditions["Reconciling"] == "True") is not told.case.stalled


@each
def test_nothing_is_rolled_out(told: Told) -> None:
    """A changed template stays held: no second revision has pods, and a canary gets no more than its first weight."""
    held = bool(told.deployment and told.deployment["spec"].get("paused"))
    assert held is told.case.releases
    assert told.revisions <= 1
    assert told.status.weight.desired == (34 if told.case.in_flight else 0)


@each
def test_no_canary_is_made(told: Told) -> None:
    """Nothing of ours comes into being, and what others own stays theirs."""
    if told.case.in_flight:
        return
    owners = [ref["name"] for child in told.children for ref in child["metadata"].get("ownerReferences", [])]
    assert set(owners) <= {"older"}


@each
def test_way_out_works(told: Told) -> None:
    """After doing what the message says, the rollout goes on by itself."""
    assert told.repaired is not None
    assert told.repaired.last_decision.action in told.case.after | (IN_FLIGHT if told.case.in_flight else set())


def test_waiting_writes_nothing(world: World) -> None:
    """Where nothing can go on, the operator writes nothing at all."""
    writes = {
        t.case.what: world.writes[t.shop.namespace]
        for t in world.told
        if not t.case.in_flight and "older" not in {o["metadata"]["name"] for o in t.case.rollouts(t.shop)}
    }
    assert {what: dict(counts) for what, counts in writes.items() if counts} == {}


def test_a_canary_without_data_writes_once_an_interval(world: World) -> None:
    """Where a canary waits for data, it writes its status and nothing else, no more than once an interval."""
    for told in world.told:
        if told.case.in_flight:
            counts = world.writes[told.shop.namespace]
            assert set(counts) <= {f"patch canaryrollouts/status {told.shop.namespace}/shop"}
            assert counts.total() <= world.seconds + 2


def test_nothing_loops_hot(world: World) -> None:
    """What waits is looked at every ten seconds, a canary with intervals of a second a few times a second."""
    waiting = sum(1 for t in world.told if not t.case.in_flight)
    running = len(world.told) - waiting + 1  # the older of two CanaryRollouts runs a canary too
    assert 0 < world.passes <= waiting * (world.seconds / 10 + 1) + running * world.seconds * 3


def test_each_mistake_is_told_once(told_events: dict[str, list[str]]) -> None:
    """One event per decision: no event comes twice, and none has a count."""
    for what, notes in told_events.items():
        assert len(notes) == len(set(notes)), what


def test_operator_survives(world: World, operator: Process) -> None:
    """The process that met all of this is the one that was started, healthy, ready, and without an unforeseen error."""
    assert operator.popen.poll() is None
    assert operator.get("/healthz") == (200, "leader: ok\n")
    assert operator.get("/readyz") == (200, "leader: ok\n")
    log = operator.log.read_text()
    assert "Traceback" not in log
    assert "exception" not in log


@pytest.fixture
def told_events(world: World) -> dict[str, list[str]]:
    """Events by case."""
    return {
        t.case.what: [
            f"{e.get('reason')} {e.get('action')} {e.get('eventTime')}"
            for e in t.events
            if e.get("regarding", {}).get("name") == "shop" and e["regarding"].get("kind") == "CanaryRollout"
        ]
        for t in world.told
    }
