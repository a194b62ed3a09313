"""Whole passes with a dedicated baseline, against a cluster in memory: what is made, compared and removed."""

from __future__ import annotations

from typing import Any

import pytest

from chaffinch_operator.resources import CANARYROLLOUTS, DEPLOYMENTS, SERVICES
from unit.canary.builders import SPEC, merged
from unit.canary.cluster import Shop, pod_template

QUICK = merged(
    SPEC,
    {
        "canary": {"baseline": "Dedicated"},
        "steps": [{"setWeight": 25, "minDuration": "1m"}, {"setWeight": 50, "minDuration": "1m"}],
    },
)
BY_REPLICAS = merged(
    QUICK,
    {
        "trafficRouting": {"gatewayAPI": None, "replicas": {}},
        "analysis": {"gates": [{"name": "restarts", "podRestarts": {"max": 2}}]},
    },
)


async def judged(version: str = "good") -> Shop:
    """A canary and its baseline at their first weight."""
    shop = Shop.opened(QUICK)
    await shop.run(5)
    shop.cluster.push(version)
    await shop.run(20)
    assert shop.verdict == ("Shift", "Analyzing")
    return shop


def names(shop: Shop, kind: str) -> set[str]:
    """Objects of a kind."""
    return {name for found, name in shop.cluster.objects if found == kind}


async def test_the_baseline_runs_stables_template_and_gets_the_canarys_share() -> None:
    """As many pods as the canary, from the ReplicaSet that runs."""
    shop = await judged()
    baseline, canary = (shop.cluster.see(DEPLOYMENTS, f"web-{track}")["spec"] for track in ("baseline", "canary"))
    assert baseline["template"]["spec"] == pod_template("v1")["spec"]
    assert canary["template"]["spec"] == pod_template("good")["spec"]
    assert baseline["replicas"] == canary["replicas"]
    assert baseline["template"]["metadata"]["labels"] == {"app": "web", "chaffinch.dev/track": "baseline"}
    assert shop.route == [50, 25, 25]
    assert shop.status["baseline"] == "Dedicated"


async def test_the_gates_compare_with_the_baseline_alone() -> None:
    """Stable's own requests count for the observed weight, and nowhere else; the sentence says with what."""
    shop = await judged()
    await shop.run(40)
    gate = next(g for g in shop.status["gates"] if g["name"] == "errors")
    assert gate["canary"]["total"] == gate["baseline"]["total"] > 0
    assert "baseline" in gate["message"]
    assert "stable" not in gate["message"]
    assert shop.status["weight"]["observed"] == "25.0"


@pytest.mark.parametrize(
    ("version", "end", "pods"), [("good", ("Idle", "Promoted"), "good"), ("bad", ("Rejected", "RolledBack"), "v1")]
)
async def test_at_the_end_nothing_of_the_baseline_is_left(version: str, end: tuple[str, str], pods: str) -> None:
    """After a promotion and after a rollback; and the user's Service is as it was."""
    shop = await judged(version)
    await shop.run(320)
    assert shop.verdict == end
    assert shop.pods == {pods: 4}
    assert names(shop, "Deployment") == {"web"}
    assert names(shop, "Service") == {"web"}
    assert shop.cluster.see(SERVICES)["spec"]["selector"] == {"app": "web"}


@pytest.mark.parametrize(("asked", "end"), [("", ("Idle", "Promoted")), ("abort@1", ("Rejected", "RolledBack"))])
async def test_by_replicas_the_baseline_comes_and_goes_with_the_canary(asked: str, end: tuple[str, str]) -> None:
    """One pod beside one of the canary's and four of stable's: the weight is reported as it is."""
    shop = Shop.opened(BY_REPLICAS)
    await shop.run(5)
    shop.cluster.push("good")
    await shop.run(20)
    assert names(shop, "Deployment") == {"web", "web-canary", "web-baseline"}
    assert shop.status["weight"]["applied"] == round(100 / 6)
    shop.cluster.annotate(asked)
    await shop.run(320)
    assert shop.verdict == end
    assert names(shop, "Deployment") == {"web"}
    assert names(shop, "Service") == {"web"}


@pytest.mark.parametrize("version", ["good", "bad"])
async def test_dying_after_every_write_it_ends_the_same(version: str) -> None:
    """Promoted or rolled back, and everything removed."""
    shop = Shop.opened(QUICK)
    await shop.run_dying(5)
    shop.cluster.push(version)
    await shop.run_dying(360)
    assert shop.verdict == {"good": ("Idle", "Promoted"), "bad": ("Rejected", "RolledBack")}[version]
    assert names(shop, "Deployment") == {"web"}
    assert names(shop, "Service") == {"web"}


@pytest.mark.parametrize("resource", [DEPLOYMENTS, SERVICES])
async def test_a_name_that_somebody_else_has_is_refused(resource: Any) -> None:
    """It is named, and never written to."""
    shop = Shop.opened(QUICK)
    await shop.run(5)
    selector = {"matchLabels": {"app": "x"}}
    body = {"replicas": 1, "selector": selector, "template": pod_template("x")} if resource is DEPLOYMENTS else {}
    shop.cluster.put(resource, {"metadata": {"name": "web-baseline"}, "spec": body})
    shop.cluster.push("good")
    await shop.run(5)
    assert shop.verdict == ("Wait", "NameTaken")
    assert f"there is a {resource.kind} web-baseline" in shop.status["lastDecision"]["message"]
    assert not [w for w in shop.cluster.writes if "web-baseline" in w]


async def test_without_dedicated_the_name_is_anybodys() -> None:
    """A Deployment of that name is neither in the way nor touched."""
    shop = Shop.opened(merged(QUICK, {"canary": {"baseline": "None"}}))
    await shop.run(5)
    body = {"replicas": 1, "selector": {"matchLabels": {"app": "x"}}, "template": pod_template("x")}
    shop.cluster.put(DEPLOYMENTS, {"metadata": {"name": "web-baseline"}, "spec": body})
    shop.cluster.push("good")
    await shop.run(320)
    assert shop.verdict == ("Idle", "Promoted")
    assert "web-baseline" in names(shop, "Deployment")


async def test_a_change_of_the_spec_mid_flight_is_for_the_next_candidate() -> None:
    """The baseline stays to the end of this one, is removed with it, and the next gets none."""
    shop = await judged()
    change(shop, "None")
    await shop.run(30)
    assert shop.route == [50, 25, 25]
    await shop.run(300)
    assert shop.verdict == ("Idle", "Promoted")
    assert names(shop, "Deployment") == {"web"}
    shop.cluster.push("better")
    await shop.run(20)
    assert names(shop, "Deployment") == {"web", "web-canary"}
    change(shop, "Dedicated")
    await shop.run(20)
    assert names(shop, "Deployment") == {"web", "web-canary"}


def change(shop: Shop, baseline: str) -> None:
    """A user edits spec.canary.baseline."""
    body = dict(shop.cluster.see(CANARYROLLOUTS))
    shop.cluster.put(CANARYROLLOUTS, {**body, "spec": merged(body["spec"], {"canary": {"baseline": baseline}})})


async def test_a_deletion_takes_the_baseline_along() -> None:
    """With the canary, after their weights."""
    shop = await judged()
    shop.cluster.delete_rollout()
    await shop.run(60)
    assert names(shop, "Deployment") == {"web"}
    assert names(shop, "Service") == {"web"}
    assert shop.route == [100]
