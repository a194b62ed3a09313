"""The route of a CanaryRollout copies requests for as long as a ShadowEvaluation that names it wants them."""

from __future__ import annotations

from typing import Any

from chaffinch_operator.children.mirroring import Mirror, mirror_filter
from chaffinch_operator.resources import HTTPROUTES, SHADOWEVALUATIONS
from unit.canary.builders import SPEC
from unit.canary.cluster import Shop


def evaluation(*, active: bool) -> dict[str, Any]:
    """A ShadowEvaluation that adopts the route web."""
    mirror = {"mode": "Adopt", "httpRouteRef": {"name": "web"}, "percent": 20}
    told = {"service": "rules-mirror", "port": 80, "active": active}
    return {
        "metadata": {"name": "rules"},
        "spec": {"traffic": {"mirror": mirror}},
        "status": {"mirror": told},
    }


def filters(shop: Shop) -> list[Any]:
    """Filters of the one rule."""
    (rule,) = shop.cluster.see(HTTPROUTES)["spec"]["rules"]
    return list(rule.get("filters", []))


async def test_the_filter_comes_and_goes_and_nothing_is_written_in_between() -> None:
    """Weights stay as they are; at rest nothing is written."""
    shop = Shop.opened(SPEC)
    await shop.run(5)
    shop.cluster.put(SHADOWEVALUATIONS, evaluation(active=True))
    await shop.run(3)
    assert filters(shop) == [mirror_filter(Mirror("rules-mirror", 80, 20))]
    assert shop.route == [100]
    before = len(shop.cluster.writes)
    await shop.run(20)
    assert len(shop.cluster.writes) == before
    shop.cluster.put(SHADOWEVALUATIONS, evaluation(active=False))
    await shop.run(3)
    assert filters(shop) == []


async def test_a_canary_and_copies_share_the_route() -> None:
    """The filter is there at every weight, and the release goes its way."""
    shop = Shop.opened(SPEC)
    shop.cluster.put(SHADOWEVALUATIONS, evaluation(active=True))
    await shop.run(5)
    shop.cluster.push("good")
    await shop.run(30)
    assert shop.route == [75, 25]
    assert len(filters(shop)) == 1
    await shop.run(400)
    assert shop.verdict == ("Idle", "Promoted")
    assert len(filters(shop)) == 1
