"""Whole passes against a cluster in memory: the order of reads and writes, deaths, absences and damage."""

from __future__ import annotations

import itertools
from datetime import timedelta
from typing import Any

import pytest

from chaffinch_operator.canary import readings
from chaffinch_operator.errors import Conflict, InvalidObject, Refused
from chaffinch_operator.resources import CANARYROLLOUTS, DEPLOYMENTS, HTTPROUTES, NAMESPACES, SERVICES
from unit.canary.builders import RESTARTS, SPEC, merged
from unit.canary.cluster import Shop, pod_template

QUICK = merged(SPEC, {"steps": [{"setWeight": 25, "minDuration": "1m"}, {"setWeight": 50, "minDuration": "1m"}]})


async def judged(version: str = "good", spec: dict[str, Any] = QUICK) -> Shop:
    """A canary at its first weight."""
    shop = Shop.opened(spec)
    await shop.run(5)
    shop.cluster.push(version)
    await shop.run(20)
    assert shop.verdict == ("Shift", "Analyzing")
    return shop


async def test_a_good_release_from_beginning_to_end() -> None:
    """Promoted, everything removed, the Service as the user wrote it, and silence afterwards."""
    shop = await judged()
    await shop.run(300)
    assert shop.verdict == ("Idle", "Promoted")
    assert shop.pods == {"good": 4}
    assert shop.route == [100]
    assert shop.cluster.see(SERVICES)["spec"]["selector"] == {"app": "web"}
    assert ("Deployment", "web-canary") not in shop.cluster.objects
    before = len(shop.cluster.writes)
    await shop.run(60)
    assert len(shop.cluster.writes) == before
    assert [e["reason"] for e in shop.cluster.events] == [
        "Promoted",
        "Initializing",
        "StepWeight",
        "StepWeight",
        "GatesPassed",
        "Promoted",
    ]
    assert shop.metrics.decisions[-1] == ("Idle", "Promoted")
    assert shop.metrics.shown[-1].weight_percent == 0


async def test_a_bad_release_is_rolled_back() -> None:
    """Stable's pods were never touched, and the template stays held."""
    shop = await judged("bad")
    await shop.run(200)
    assert shop.verdict == ("Rejected", "RolledBack")
    assert shop.pods == {"v1": 4}
    assert shop.cluster.see(DEPLOYMENTS)["spec"]["paused"]
    assert shop.route == [100]
    assert [e["type"] for e in shop.cluster.events][-2:] == ["Warning", "Warning"]


async def test_status_is_written_before_anything_is_carried_out() -> None:
    """In every pass that writes both."""
    shop = Shop.opened(QUICK)
    await shop.run(5)
    shop.cluster.push("bad")
    for _ in range(150):
        before = len(shop.cluster.writes)
        await shop.look()
        shop.cluster.tick()
        written = shop.cluster.writes[before:]
        assert "apply CanaryRollout web/status" not in written[1:]


async def test_a_conflict_ends_the_pass_without_writes() -> None:
    """Somebody changed the object since it was read: nothing is carried out on an old view."""
    shop = Shop.opened()
    await shop.run(3)
    shop.cluster.push("good")
    before = len(shop.cluster.writes)
    shop.cluster.refuse = {"status": Conflict("changed")}
    with pytest.raises(Conflict):
        await shop.look()
    assert len(shop.cluster.writes) == before


async def test_a_template_that_arrives_in_between_stays_held() -> None:
    """The release is fenced with the version that was seen."""
    shop = Shop.opened()
    await shop.run(3)
    shop.cluster.push("good")
    shop.cluster.annotate("promote-force@1")
    original = shop.cluster.patch

    async def late(*arguments: Any) -> Any:
        shop.cluster.push("bad")
        return await original(*arguments)

    shop.cluster.patch = late  # type: ignore[method-assign,assignment]
    with pytest.raises(Conflict):
        await shop.run(5)
    assert shop.cluster.see(DEPLOYMENTS)["spec"]["paused"]


def end_of(shop: Shop) -> tuple[Any, ...]:
    """What evidence and outcome there are, to the bit."""
    gates = [(g["name"], g.get("evidence"), g["canary"], g["message"]) for g in shop.status["gates"]]
    ended = [{k: v for k, v in entry.items() if k != "at"} for entry in shop.status["history"]]
    return shop.verdict, gates, ended, shop.pods, shop.status["promotedRevisions"]


@pytest.mark.parametrize("version", ["good", "bad"])
async def test_dying_after_every_write_changes_nothing(version: str) -> None:
    """The same evidence to the bit, the same decision with the same numbers."""
    undisturbed = Shop.opened(QUICK)
    dying = Shop.opened(QUICK)
    await undisturbed.run(5)
    await dying.run_dying(5)
    for shop in (undisturbed, dying):
        shop.cluster.push(version)
    await undisturbed.run(320)
    await dying.run_dying(320)
    assert end_of(dying) == end_of(undisturbed)


async def test_dying_after_every_write_leaves_no_event_out() -> None:
    """Metrics that go away and come back are told, and that a weight is analysed once it is applied is not."""
    undisturbed, dying = Shop.opened(QUICK), Shop.opened(QUICK)
    for shop, run in ((undisturbed, undisturbed.run), (dying, dying.run_dying)):
        await run(5)
        shop.cluster.push("good")
        await run(70)
        shop.counters.away = True
        await run(40)
        shop.counters.away = False
        await run(200)
    told = [e["reason"] for e in undisturbed.cluster.events]
    assert ("ProviderUnreachable", "Analyzing") in itertools.pairwise(told)
    assert told.count("Analyzing") == 1
    assert [e["reason"] for e in dying.cluster.events] == told


async def test_a_time_away_is_caught_up_on() -> None:
    """Two minutes down at a step of four: the same intervals are read, the same evidence gathered."""
    long = merged(QUICK, {"steps": [{"setWeight": 25, "minDuration": "4m"}, {"setWeight": 50, "minDuration": "1m"}]})
    undisturbed, away = await judged(spec=long), await judged(spec=long)
    await undisturbed.run(190)
    for _ in range(130):
        away.cluster.tick()
    away.counters.asked.clear()
    await away.run(60)
    assert away.status["gates"] == undisturbed.status["gates"]
    assert away.status["step"] == undisturbed.status["step"]
    assert sorted(set(away.counters.asked)) == sorted(
        {a for a in undisturbed.counters.asked if a[1] >= min(at for _, at in away.counters.asked)}
    )
    assert await away.run(160) == await undisturbed.run(160)
    assert end_of(away) == end_of(undisturbed)


async def test_without_prometheus_nothing_is_decided() -> None:
    """It holds at the weight, says so, and goes on where it stopped."""
    shop = await judged()
    shop.counters.away = True
    for _ in range(6):
        await shop.look()
        shop.cluster.tick(100)
    assert shop.verdict == ("Shift", "ProviderUnreachable")
    assert (
        "spec.analysis.provider.prometheus: http://prometheus:9090 did not answer"
        in shop.status["lastDecision"]["message"]
    )
    assert shop.route == [75, 25]
    shop.counters.away = False
    await shop.run(250)
    assert shop.verdict == ("Idle", "Promoted")


async def test_a_start_needs_queries_that_can_be_judged() -> None:
    """A bad query is found before the canary exists; an unreachable server as well."""
    shop = Shop.opened()
    await shop.run(3)
    shop.counters.bad = "parse error"
    shop.cluster.push("good")
    await shop.run(3)
    assert shop.verdict == ("Wait", "BadQuery")
    assert shop.status["lastDecision"]["message"] == "spec.analysis.gates[errors]: parse error"
    shop.counters.bad, shop.counters.away = "", True
    await shop.run(3)
    assert shop.verdict == ("Wait", "ProviderUnreachable")
    shop.counters.away = False
    await shop.run(3)
    assert shop.verdict[0] in {"Start", "Shift"}


async def test_restarts_alone_need_no_prometheus() -> None:
    """Intervals pass all the same, so that steps do."""
    shop = Shop.opened(merged(QUICK, {"analysis": {"gates": [RESTARTS], "provider": None}}))
    await shop.run(3)
    shop.cluster.push("good")
    await shop.run(320)
    assert shop.verdict == ("Idle", "Promoted")
    assert shop.counters.asked == []


# specs and statuses that cannot be read


async def test_an_invalid_spec_is_told_and_changes_nothing() -> None:
    """With the field; and the canary that is under way stays as it is."""
    shop = await judged()
    shop.cluster.see(CANARYROLLOUTS)["spec"]["steps"] = [{"setWeight": 500}]
    before = len(shop.cluster.writes)
    assert (await shop.run(10)).requeue_after is None
    assert shop.cluster.writes[before:] == ["apply CanaryRollout web/status"]
    ready = next(c for c in shop.status["conditions"] if c["type"] == "Stalled")
    assert (ready["status"], ready["reason"]) == ("True", "InvalidSpec")
    assert ready["message"].startswith("spec.steps.0.setWeight: ")


async def test_gates_that_make_no_sense_are_told() -> None:
    """Should the API server let them pass."""
    gate = {"name": "g", "ratio": {"bad": "b", "total": "t"}, "harmRatio": "3"}
    shop = Shop.opened(merged(SPEC, {"analysis": {"gates": [gate]}}))
    await shop.run(2)
    assert "spec.analysis.gates[g]: " in next(c["message"] for c in shop.status["conditions"])


@pytest.mark.parametrize(
    "spec", [{"steps": [{"setWeight": 500}]}, {"analysis": {"gates": [{"name": "g"}]}}], ids=["steps", "gates"]
)
async def test_an_invalid_spec_does_not_keep_a_deletion_from_cleaning_up(spec: dict[str, Any]) -> None:
    """Else the Service would stay narrowed to pods that will be gone."""
    shop = await judged()
    shop.cluster.see(CANARYROLLOUTS)["spec"].update(spec)
    await shop.run(3)
    shop.cluster.delete_rollout()
    outcome = await shop.run(40)
    assert outcome.finished
    assert shop.cluster.see(SERVICES)["spec"]["selector"] == {"app": "web"}
    assert ("Deployment", "web-canary") not in shop.cluster.objects
    assert shop.hold.unlabelled >= 1


async def test_a_spec_that_names_nothing_is_let_go() -> None:
    """There is no name to clean up by."""
    shop = await judged()
    shop.cluster.see(CANARYROLLOUTS)["spec"] = {}
    shop.cluster.delete_rollout()
    assert (await shop.look()).finished


@pytest.mark.parametrize("status", [{"lastDecision": {"action": "Dance"}}, {"gates": "none"}, {"step": {"index": "x"}}])
async def test_a_damaged_status_counts_as_none(status: dict[str, Any]) -> None:
    """What is left of the canary goes, and it starts over, without evidence nobody can vouch for."""
    shop = await judged()
    shop.cluster.see(CANARYROLLOUTS)["status"] = status
    await shop.look()
    assert shop.verdict == ("Abandon", "Superseded")
    await shop.run(40)
    assert shop.verdict == ("Shift", "Analyzing")
    assert shop.cluster.see(DEPLOYMENTS)["spec"]["paused"]


# from outside


async def test_an_object_that_is_gone_is_forgotten() -> None:
    """The loop ends."""
    shop = Shop.opened()
    del shop.cluster.objects["CanaryRollout", "web"]
    assert (await shop.look()).finished
    assert shop.metrics.forgotten == ["web"]


async def test_a_deletion_gives_everything_back() -> None:
    """And only then is finished; the namespace is left unlabelled."""
    shop = await judged()
    shop.cluster.delete_rollout()
    first = await shop.look()
    assert not first.finished
    outcome = await shop.run(20)
    assert outcome.finished
    assert shop.route == [100]
    assert shop.hold.unlabelled > 0
    assert shop.pods == {"v1": 4}
    assert "kubectl rollout resume deployment/web -n shop" in shop.status["lastDecision"]["message"]


async def test_a_namespace_that_goes_is_left_alone() -> None:
    """No write is even tried."""
    shop = await judged()
    shop.cluster.see(NAMESPACES, "shop")["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    shop.cluster.delete_rollout()
    before = len(shop.cluster.writes)
    assert (await shop.look()).finished
    assert shop.cluster.writes[before:] in ([], ["apply CanaryRollout web/status"])
    assert shop.hold.unlabelled == 0


async def test_a_refused_write_is_an_event_once() -> None:
    """A quota, a policy: a person must know; the loop backs off."""
    shop = Shop.opened()
    await shop.run(3)
    shop.cluster.push("good")
    shop.cluster.refuse = {
        "apply Deployment": Refused(403, "Forbidden", "exceeded quota", "Deployment shop/web-canary")
    }
    refused = 0
    for _ in range(8):
        try:
            await shop.look()
        except Refused:
            refused += 1
        shop.cluster.tick()
    assert refused > 2
    told = [e for e in shop.cluster.events if e["reason"] == "Refused"]
    assert len(told) == 1
    assert told[0]["note"] == "Deployment shop/web-canary: exceeded quota"
    shop.cluster.refuse = {"apply Deployment": InvalidObject("no such field")}
    with pytest.raises(InvalidObject):
        await shop.look()


BLOCKED: dict[str, str] = {
    "TargetConflict": "is the target of the older CanaryRollout aaa already: delete one of the two",
    "NameTaken": "there is a Deployment web-canary that this CanaryRollout did not make",
    "GatewayAPIMissing": "spec.trafficRouting.gatewayAPI: the cluster does not serve",
    "HoldNotInstalled": "needs 1.36",
    "RouteNotAccepted": "HTTPRoute web is refused: NoMatchingParent: no such listener",
}


def block(shop: Shop, reason: str) -> None:
    """Make the obstacle."""
    if reason == "TargetConflict":
        older = shop.cluster.put(CANARYROLLOUTS, {"metadata": {"name": "aaa"}, "spec": dict(SPEC)})
        older["metadata"]["creationTimestamp"] = "2020-01-01T00:00:00Z"
    elif reason == "NameTaken":
        shop.cluster.put(
            DEPLOYMENTS,
            {
                "metadata": {"name": "web-canary"},
                "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "x"}}, "template": pod_template("x")},
            },
        )
    elif reason == "GatewayAPIMissing":
        shop.cluster.missing.add("HTTPRoute")
    elif reason == "HoldNotInstalled":
        shop.hold.installed = False
    else:
        route = shop.cluster.see(HTTPROUTES)
        said = {
            "type": "Accepted",
            "status": "False",
            "reason": "NoMatchingParent",
            "message": "no such listener",
            "observedGeneration": route["metadata"]["generation"],
        }
        route["status"] = {"parents": [{"conditions": [said]}]}


@pytest.mark.parametrize("reason", BLOCKED)
async def test_what_is_in_the_way_is_found(reason: str) -> None:
    """With the field and the way out; and nothing is made."""
    shop = Shop.opened()
    await shop.run(3)
    shop.cluster.push("good")
    block(shop, reason)
    before = len(shop.cluster.writes)
    await shop.look()
    assert shop.verdict == ("Wait", reason)
    assert BLOCKED[reason] in shop.status["lastDecision"]["message"]
    assert shop.cluster.writes[before:] == ["apply CanaryRollout web/status"]


@pytest.mark.parametrize("kind", ["Service", "HTTPRoute"])
async def test_names_of_others_are_left_to_them(kind: str) -> None:
    """A Service or a route of the name we need."""
    shop = Shop.opened()
    if kind == "Service":
        shop.cluster.put(SERVICES, {"metadata": {"name": "web-canary"}, "spec": {"ports": []}})
    else:
        shop.cluster.put(HTTPROUTES, {"metadata": {"name": "web"}, "spec": {"rules": []}})
    shop.cluster.push("good")
    await shop.run(5)
    assert shop.verdict == ("Wait", "NameTaken")
    assert not [w for w in shop.cluster.writes if kind in w]


async def test_a_missing_target_or_service_is_waited_for() -> None:
    """Also one that is being deleted."""
    shop = Shop.opened()
    shop.cluster.see(DEPLOYMENTS)["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    await shop.look()
    assert (await shop.look()).requeue_after == 10.0
    assert shop.verdict == ("Wait", "TargetNotFound")
    del shop.cluster.objects["Deployment", "web"]
    del shop.cluster.objects["Service", "web"]
    await shop.look()
    assert shop.verdict == ("Wait", "TargetNotFound")


async def test_a_younger_rollout_does_not_touch_what_the_older_one_has() -> None:
    """Deleted mid-flight of the other, it neither widens the Service nor releases the target."""
    shop = await judged()
    block(shop, "TargetConflict")
    shop.cluster.see(CANARYROLLOUTS)["status"] = {}
    older = shop.cluster.see(SERVICES)["metadata"]["annotations"]
    older["chaffinch.dev/isolated"] = "aaa"
    shop.cluster.delete_rollout()
    await shop.run(20)
    assert shop.cluster.see(SERVICES)["spec"]["selector"]["pod-template-hash"] == "v1"
    assert shop.cluster.see(DEPLOYMENTS)["spec"]["paused"]


async def test_the_policy_may_lag_behind() -> None:
    """Where it did not widen the selector, the operator does it itself."""
    shop = Shop.opened()
    service = shop.cluster.see(SERVICES)
    service["spec"]["selector"]["pod-template-hash"] = "old"
    shop.cluster._admit = lambda *_: None  # type: ignore[method-assign]  # noqa: SLF001 - the lag
    await shop.run(3)
    assert shop.cluster.see(SERVICES)["spec"]["selector"] == {"app": "web"}


async def test_the_next_look_is_when_something_can_have_changed() -> None:
    """At rest never, at a weight when the next interval is ripe, otherwise within a second."""
    shop = Shop.opened()
    await shop.run(2)
    assert (await shop.look()).requeue_after is None
    judging = await judged()
    await judging.look()
    wait = (await judging.look()).requeue_after
    assert wait is not None
    assert 0.3 <= wait <= 30.0
    judging.counters.away = True
    for _ in range(40):
        judging.cluster.tick()
    await judging.look()
    assert (await judging.look()).requeue_after == 1.0
    held = Shop.opened()
    await held.run(2)
    held.cluster.push("good")
    await held.look()
    assert (await held.look()).requeue_after == 0.3


def test_intervals_are_caught_up_on_in_portions() -> None:
    """Twenty per pass; none before the first, none in the future."""
    from unit.canary.builders import scene, stamp

    before = scene().shifting()
    assert readings.due(before.model, before.state.model_copy(update={"interval_end": ""}), before.now) == []
    late = before.now + timedelta(hours=2)
    assert len(readings.due(before.model, before.state, late)) == readings.MOST_PER_PASS
    ripe = before.status(interval_end=stamp(30))
    assert readings.due(ripe.model, ripe.state, ripe.now + timedelta(seconds=64)) == []
    assert len(readings.due(ripe.model, ripe.state, ripe.now + timedelta(seconds=65))) == 1
