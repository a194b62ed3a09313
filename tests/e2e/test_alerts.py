"""Alerts through real Prometheus rules and a real Alertmanager: a bad candidate is rolled back though no gate looks.

Three shops tell their stories at once; their gates look at restarts only.
"""

import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from chaffinch_operator.canary.reasons import Action, Reason
from support.operator import Operator
from support.receiving import Alertmanager, receiving_operator
from support.rollouts import Grounds, Pod, Said, Shop, Street
from support.stories import together
from support.timeline import Seen, doing

pytestmark = pytest.mark.cluster

LISTENING = {
    "steps": [{"setWeight": 20, "minDuration": "10m"}],
    "analysis": {"gates": [{"name": "restarts", "podRestarts": {"max": 5}}]},
}


def listen(shop: Shop) -> None:
    """Heed critical alerts of the shop's own namespace: others would pause it, as alerts about something else."""
    matchers = ['severity="critical"', f'namespace="{shop.namespace}"']
    shop.configure({"alerts": {"matchers": matchers, "onFiring": "Rollback"}})


@pytest.fixture(scope="module")
def operator(cluster: Grounds) -> Iterator[Operator]:
    """An operator that receives alerts and watches this module's namespaces only."""
    stem = f"e2e-alerts-{secrets.token_hex(3)}"
    with receiving_operator(cluster.access, cluster.kubectl, [f"{stem}-{number}" for number in range(4)]) as it:
        yield it


@pytest.fixture(scope="module")
def alertmanager(cluster: Grounds) -> Iterator[Alertmanager]:
    """The cluster's Alertmanager."""
    with Alertmanager(cluster.access) as it:
        yield it


@dataclass(frozen=True, slots=True)
class Failing:
    """A candidate whose requests fail, seen by a rule of Prometheus."""

    pods: tuple[dict[str, Pod], dict[str, Pod]]
    """Stable's before and after."""
    ended: Seen
    gone: bool
    explained: Said


@dataclass(frozen=True, slots=True)
class Paused:
    """An alert that is not about the canary."""

    paused: Seen
    shown: Said
    resume: Said
    resumed: Seen
    later: list[tuple[Action, Reason]]
    """What was decided while the alert went on firing."""


@dataclass(frozen=True, slots=True)
class Alone:
    """An alert about the canary that fires while no operator runs."""

    ended: Seen


@dataclass(frozen=True, slots=True)
class Record:
    """All three."""

    failing: Failing
    paused: Paused
    alone: Alone


def failing_story(shop: Shop) -> Failing:
    """Release a version that fails nine requests in ten."""
    with shop.load(60.0):
        before = shop.stable_pods()
        shop.release("bad", error_rate=0.9)
        ended = shop.wait_rolled_back(90)
        explained = shop.chaffinch("explain", shop.name)
        shop.wait_for(shop.canary_is_gone, 30, "the canary's end")
        return Failing((before, shop.stable_pods()), ended, shop.canary_is_gone(), explained)


def alert(shop: Shop, name: str, **labels: str) -> dict[str, object]:
    """A critical alert that begins now."""
    return {
        "labels": {"severity": "critical", **labels, "alertname": name, "namespace": shop.namespace},
        "startsAt": datetime.now(UTC).isoformat(),
    }


def at_weight(shop: Shop) -> None:
    """A good version at its first weight."""
    shop.release("good")
    shop.wait(doing(Action.SHIFT, Reason.ANALYZING, weight=20), 60, "the first weight")


def posts(shop: Shop) -> float:
    """How many posts the operator has answered well."""
    _, page = shop.operator.fetch("/metrics")
    counts = re.findall(r'^chaffinch_alert_posts_total{code="200"} (\S+)$', page, re.MULTILINE)
    return float(counts[0]) if counts else 0.0


def paused_story(shop: Shop, alertmanager: Alertmanager) -> Paused:
    """The database fails; a person looks and goes on."""
    with shop.load(40.0):
        at_weight(shop)
        alertmanager.fire(alert(shop, "DatabaseDown"))
        paused = shop.wait(doing(Action.PAUSE, Reason.PAUSED_BY_ALERT), 20, "the pause")
        shown, resume = shop.chaffinch("status", shop.name), shop.chaffinch("resume", shop.name)
        resumed = shop.wait(doing(Action.SHIFT), 20, "the resumption")
        position, before = shop.timeline.mark(), posts(shop)
        # another of the same group, of no concern: the whole group is delivered again
        alertmanager.fire(alert(shop, "DatabaseDown", severity="info"))
        shop.wait_for(lambda: posts(shop) > before, 30, "another delivery")
        shop.chaffinch("pause", shop.name)
        shop.wait(doing(Action.PAUSE, Reason.PAUSED_BY_USER), 20, "the pause of a person")
        return Paused(paused, shown, resume, resumed, shop.timeline.decisions(position))


def alone_story(shop: Shop, operator: Operator, alertmanager: Alertmanager) -> Alone:
    """The operator is killed; the alert fires; another operator comes."""
    with shop.load(40.0):
        at_weight(shop)
        operator.kill()
        alertmanager.fire(alert(shop, "QueueGrows", deployment=f"{shop.name}-canary"))
        operator.start().wait_ready()
        return Alone(shop.wait_rolled_back(60))


@pytest.fixture(scope="module")
def record(street: Street, operator: Operator, alertmanager: Alertmanager) -> Record:
    """Two stories at once, then the one that needs the operator for itself."""
    shops = street.open_all(*[{"spec": LISTENING}] * 3)
    for shop in shops:
        listen(shop)
    failing, paused = together(lambda: failing_story(shops[0]), lambda: paused_story(shops[1], alertmanager))
    return Record(failing, paused, alone_story(shops[2], operator, alertmanager))


def test_a_rule_of_prometheus_rolls_a_bad_candidate_back(record: Record) -> None:
    """From the counters through rule, Alertmanager and receiver to weight zero, without any gate."""
    last = record.failing.ended.status.history[0]
    assert (last.result, last.reason) == ("RolledBack", Reason.ALERT_FIRING)
    told = record.failing.ended.status.alerts[0]
    assert (told.name, told.outcome) == ("SampleServiceFails", "RolledBack")
    assert "shop-canary-" in told.message
    assert record.failing.gone


def test_stable_pods_are_not_touched(record: Record) -> None:
    """The same pods, not restarted."""
    before, after = record.failing.pods
    assert before == after


def test_the_plugin_explains_by_which_alert(record: Record) -> None:
    """With what pointed at the canary."""
    assert "SampleServiceFails" in record.failing.explained.output
    assert "ended the rollout" in record.failing.explained.output


def test_an_alert_about_something_else_pauses(record: Record) -> None:
    """With the weight kept, and the way on is shown."""
    assert record.paused.paused.status.weight.desired == 20
    assert "PausedByAlert" in record.paused.shown.output
    assert "kubectl chaffinch resume" in record.paused.shown.output


def test_a_person_resumes_although_it_goes_on_firing(record: Record) -> None:
    """Delivered again and again, it pauses once."""
    assert record.paused.resume.exit_status == 0, record.paused.resume
    assert (Action.PAUSE, Reason.PAUSED_BY_ALERT) not in record.paused.later


def test_an_alert_that_fires_while_no_operator_runs_is_acted_on(record: Record) -> None:
    """Delivered again, or asked for, once there is one."""
    assert record.alone.ended.status.history[0].reason is Reason.ALERT_FIRING
    assert record.alone.ended.status.alerts[0].name == "QueueGrows"
