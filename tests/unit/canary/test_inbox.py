"""Alerts are written to the status of every rollout they are about, or whoever brings them hears that they are not."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from chaffinch_operator.canary.hold_keeper import HoldKeeper
from chaffinch_operator.canary.inbox import ATTEMPTS, Inbox
from chaffinch_operator.canary.poll import Poller
from chaffinch_operator.canary.reconcile import Reconciler
from chaffinch_operator.errors import ChaffinchError, Conflict, Unavailable
from chaffinch_operator.kube import Kube
from chaffinch_operator.ports.alertmanager import AlertmanagerError
from chaffinch_operator.resources import CANARYROLLOUTS
from chaffinch_operator.webhook import Alert
from unit.canary.builders import SPEC, merged
from unit.canary.cluster import Died, Shop

LISTENING = merged(
    SPEC,
    {
        "steps": [{"setWeight": 25, "minDuration": "1h"}],
        "alerts": {"matchers": ['alertname=~"Checkout.*"', 'severity="critical"']},
    },
)
LABELS = {"alertname": "CheckoutErrors", "severity": "critical", "namespace": "shop", "pod": "web-canary-1-a"}


@dataclass
class Told:
    """What the inbox reports."""

    written: list[tuple[str, str]] = field(default_factory=list)
    outcomes: list[str] = field(default_factory=list)


async def judged(spec: dict[str, Any] = LISTENING) -> Shop:
    """A canary at its first weight."""
    shop = Shop.opened(spec)
    await shop.run(5)
    shop.cluster.push("good")
    await shop.run(20)
    assert shop.verdict == ("Shift", "Analyzing")
    return shop


def inbox(shop: Shop, told: Told | None = None) -> Inbox:
    """An inbox of any replica."""
    told = told or Told()
    return Inbox(
        cast("Kube", shop.cluster), (), lambda ns, name, _: told.written.append((ns, name)), told.outcomes.append
    )


def alert(shop: Shop, number: int = 1, **labels: str) -> Alert:
    """An alert about the canary that began just now."""
    return Alert(f"{number:016x}", shop.cluster.now, {**LABELS, **labels})


def recorded(shop: Shop) -> list[tuple[str, str]]:
    """Names and outcomes in the stored status."""
    return [(a["name"], a["outcome"]) for a in shop.status.get("alerts", [])]


async def test_an_alert_is_written_then_acted_on() -> None:
    """The status is the hand-over: one write by any replica, and the next pass goes to weight zero."""
    shop, told = await judged(), Told()
    assert await inbox(shop, told).put([alert(shop)], shop.cluster.now) == 1
    assert recorded(shop) == [("CheckoutErrors", "Rollback")]
    assert (told.written, told.outcomes) == ([("shop", "web")], ["Rollback"])
    before = len(shop.cluster.writes)
    await shop.look()
    assert shop.verdict == ("RollBack", "AlertFiring")
    assert shop.route == [999_999, 1]
    assert shop.cluster.writes[before] == "apply CanaryRollout web/status"
    await shop.run(60)
    assert shop.verdict == ("Rejected", "RolledBack")
    assert [e["type"] for e in shop.cluster.events if e["reason"] == "AlertFiring"] == ["Warning"]


async def test_zero_follows_as_soon_as_the_millionth_was_in_force() -> None:
    """A second after its write; nothing is looked at before, and the Gateway's word is waited for if it is late."""
    shop = await judged()
    await inbox(shop).put([alert(shop)], shop.cluster.now)
    await shop.look()
    shop.cluster.tick(0.3)
    assert (await shop.look()).requeue_after == pytest.approx(0.71)
    shop.cluster.tick(0.71)
    await shop.look()
    assert shop.route == [100, 0]


async def test_a_pass_that_is_cut_off_for_an_alert_loses_no_event() -> None:
    """Its decision was written and its Event not yet: the next pass writes it."""
    shop = Shop.opened(LISTENING)
    await shop.run(5)
    kube, hold = cast("Kube", shop.cluster), cast("HoldKeeper", shop.hold)
    reconciler = Reconciler(kube, hold, lambda *_: shop.counters, shop.metrics, lambda: shop.cluster.now)
    await reconciler.reconcile("shop", "web")
    shop.cluster.push("good")
    create = shop.cluster.create

    async def cut_off(*_: Any) -> None:
        raise asyncio.CancelledError

    shop.cluster.create = cut_off  # type: ignore[method-assign,assignment]
    with pytest.raises(asyncio.CancelledError):
        await reconciler.reconcile("shop", "web")
    assert shop.verdict == ("Start", "Initializing")
    shop.cluster.create = create  # type: ignore[method-assign]
    await reconciler.reconcile("shop", "web")
    assert "Initializing" in [e["reason"] for e in shop.cluster.events]


async def test_dying_between_writing_and_acting_changes_nothing() -> None:
    """The next process finds the alert where the last one left it, and dies after each of its own writes."""
    shop = await judged()
    shop.cluster.dies = True
    with pytest.raises(Died):
        await inbox(shop).put([alert(shop)], shop.cluster.now)
    shop.cluster.dies = False
    assert recorded(shop) == [("CheckoutErrors", "Rollback")]
    await shop.run_dying(60)
    assert shop.verdict == ("Rejected", "RolledBack")
    assert shop.status["history"][0]["reason"] == "AlertFiring"


async def test_a_second_delivery_writes_nothing() -> None:
    """Alertmanager repeats itself."""
    shop, told = await judged(), Told()
    it = inbox(shop, told)
    found = [alert(shop)]
    await it.put(found, shop.cluster.now)
    before = len(shop.cluster.writes)
    assert await it.put(found, shop.cluster.now) == 0
    assert len(shop.cluster.writes) == before
    assert told.outcomes == ["Rollback"]


@pytest.mark.parametrize("labels", [{"severity": "warning"}, {"alertname": "Other"}])
async def test_what_does_not_match_is_not_written(labels: dict[str, str]) -> None:
    """All matchers must."""
    shop = await judged()
    assert await inbox(shop).put([alert(shop, 1, **labels)], shop.cluster.now) == 0
    assert recorded(shop) == []


async def test_the_leaders_own_write_in_between_is_no_obstacle() -> None:
    """The status is read again; neither loses what the other wrote."""
    shop = await judged()
    original, calls = shop.cluster.apply, 0

    async def raced(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls < 3:
            stored = shop.cluster.see(CANARYROLLOUTS)
            stored["status"]["forecast"] = {"requestsNeeded": calls}
            shop.cluster.put(CANARYROLLOUTS, stored)
            raise Conflict("the object changed")
        return await original(*arguments, **options)

    shop.cluster.apply = raced  # type: ignore[method-assign]
    assert await inbox(shop).put([alert(shop)], shop.cluster.now) == 1
    assert recorded(shop) == [("CheckoutErrors", "Rollback")]
    assert shop.status["forecast"] == {"requestsNeeded": 2}


@pytest.mark.parametrize("problem", [Unavailable("down"), Conflict("always")])
async def test_what_cannot_be_written_is_said(problem: ChaffinchError, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that Alertmanager delivers again; it is not tried for ever."""
    shop = await judged()
    shop.cluster.refuse = {"status": problem}

    async def soon(_: float) -> None:
        """Without the pauses."""

    monkeypatch.setattr(asyncio, "sleep", soon)
    with pytest.raises(Unavailable, match=f"down|{ATTEMPTS} times"):
        await inbox(shop).put([alert(shop)], shop.cluster.now)
    assert recorded(shop) == []


async def test_a_burst_of_posts_is_written_one_after_the_other() -> None:
    """Five at once about one rollout: nothing is lost."""
    shop = await judged(merged(LISTENING, {"alerts": {"onFiring": "Pause"}}))
    it = inbox(shop)
    await asyncio.gather(*(it.put([alert(shop, number)], shop.cluster.now) for number in range(1, 6)))
    assert len(recorded(shop)) == 5


async def test_a_spec_with_a_bad_matcher_is_stalled_and_nothing_else_suffers() -> None:
    """The message names the matcher; the post is answered."""
    shop = await judged()
    bad = shop.cluster.see(CANARYROLLOUTS)
    bad["spec"]["alerts"]["matchers"] = ['severity=~"("']
    shop.cluster.put(CANARYROLLOUTS, bad)
    assert await inbox(shop).put([alert(shop)], shop.cluster.now) == 0
    await shop.look()
    stalled = next(c for c in shop.status["conditions"] if c["type"] == "Stalled")
    assert (stalled["status"], stalled["reason"]) == ("True", "InvalidSpec")
    assert "spec.alerts.matchers[0]" in stalled["message"]


async def test_an_alert_is_acted_on_without_asking_for_metrics() -> None:
    """Prometheus may be the very thing that is slow."""
    shop = await judged()
    await inbox(shop).put([alert(shop)], shop.cluster.now)
    shop.counters.asked.clear()
    shop.cluster.tick(60)
    await shop.look()
    assert shop.verdict == ("RollBack", "AlertFiring")
    assert not shop.counters.asked


# asking


@dataclass
class Server:
    """Alertmanager, as far as it is asked."""

    alerts: list[Alert] = field(default_factory=list)
    asked: list[tuple[str, ...]] = field(default_factory=list)
    trouble: str = ""

    async def active(self, matchers: Sequence[str]) -> tuple[Alert, ...]:
        """What fires."""
        self.asked.append(tuple(matchers))
        if self.trouble:
            raise AlertmanagerError(self.trouble)
        return tuple(self.alerts)


def poller(shop: Shop, server: Server) -> Poller:
    """One that asks by itself every 60 s."""
    return Poller(inbox(shop), server, period_seconds=60, now=lambda: shop.cluster.now)


async def test_what_was_not_delivered_is_found() -> None:
    """Asked with the rollout's own matchers, and taken like a post."""
    shop = await judged()
    server = Server([alert(shop)])
    assert await poller(shop, server).ask()
    assert server.asked == [('alertname=~"Checkout.*"', 'severity="critical"')]
    assert recorded(shop) == [("CheckoutErrors", "Rollback")]


async def test_nobody_is_asked_when_no_rollout_listens() -> None:
    """At rest there is nothing to protect."""
    shop, server = Shop.opened(LISTENING), Server()
    await shop.run(5)
    assert await poller(shop, server).ask()
    assert server.asked == []


async def test_no_answer_is_no_answer() -> None:
    """It says so, and can be asked again."""
    shop = await judged()
    server = Server([alert(shop)], trouble="away")
    it = poller(shop, server)
    assert not await it.ask()
    server.trouble = ""
    assert await it.ask()
    assert recorded(shop) == [("CheckoutErrors", "Rollback")]
