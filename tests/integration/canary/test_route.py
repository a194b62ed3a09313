"""Mistakes about the route, where Gateway API is installed: a stand-in for its CRD, and no gateway."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.kube import CANARYROLLOUTS, DEPLOYMENTS, HTTPROUTES, SERVICES
from integration.canary.cases import GATEWAY, gateway_api_installed
from integration.canary.ground import Ground
from integration.canary.world import NAME, Object, Shop, deployment, rollout, service, until
from integration.core.processes import Process
from support.client import connected
from support.fake_prometheus import FakePrometheus
from support.nodeless import NodelessPods

pytestmark = pytest.mark.apiserver
Play = Callable[[str, Callable[[Shop], Awaitable[Any]]], Any]
FOREIGN: Object = {"metadata": {"name": NAME}, "spec": {"rules": [{"backendRefs": [{"name": NAME, "port": 80}]}]}}


@pytest.fixture
def play(with_controllers: Ground, operator: Process, prometheus: FakePrometheus, pods: NodelessPods) -> Play:
    """Play a story in a namespace of its own."""

    def run(namespace: str, story: Callable[[Shop], Awaitable[Any]]) -> Any:
        async def whole() -> Any:
            async with connected(with_controllers.api.kubeconfig) as kube:
                shop = Shop(kube, prometheus, namespace)
                await shop.open()
                await gateway_api_installed(shop)
                await shop.apply(DEPLOYMENTS, deployment())
                await shop.apply(SERVICES, service())
                await shop.settled()
                return await story(shop)

        return asyncio.run(whole())

    return run


async def begin(shop: Shop) -> CanaryRolloutStatus:
    """Make the CanaryRollout, routed by a Gateway, and wait for its first word."""
    await shop.apply(CANARYROLLOUTS, rollout(shop.address, trafficRouting=GATEWAY))
    return await shop.wait(lambda _: True, "a first word")


def test_route_of_that_name_is_left_alone(play: Play) -> None:
    """An HTTPRoute that somebody else made is named, not touched; once it is gone, ours takes its place."""

    async def story(shop: Shop) -> None:
        before = await shop.apply(HTTPROUTES, FOREIGN)
        await begin(shop)
        status = await shop.wait(lambda s: s.conditions[0].reason == Reason.NAME_TAKEN, "the name is taken")
        assert "HTTPRoute shop that this CanaryRollout did not make" in status.conditions[0].message
        await shop.release()
        after = await shop.get(HTTPROUTES)
        assert after is not None
        assert after["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]
        assert await shop.get(DEPLOYMENTS, "shop-canary") is None
        await shop.delete(HTTPROUTES)

        async def ours() -> bool:
            found = await shop.get(HTTPROUTES) or {"metadata": {}}
            return bool(found["metadata"].get("ownerReferences"))

        await until(ours, "our own route")

    play("route-taken", story)


def test_gateway_that_refuses_the_route_stops_the_canary(play: Play) -> None:
    """What the Gateway says against the route is in the condition, and no canary starts until it accepts."""

    async def story(shop: Shop) -> None:
        await begin(shop)
        await until(lambda: shop.get(HTTPROUTES), "the generated route")
        await answer(shop, "False", "NotAllowedByListeners", "no listener takes this host")
        status = await shop.wait(lambda s: s.conditions[0].reason == Reason.ROUTE_NOT_ACCEPTED, "the refusal")
        assert "NotAllowedByListeners: no listener takes this host" in status.conditions[0].message
        await shop.release()
        await shop.wait(lambda s: s.candidate is not None, "the candidate is seen")
        assert await shop.get(DEPLOYMENTS, "shop-canary") is None
        await answer(shop, "True", "Accepted", "")
        await until(lambda: shop.get(DEPLOYMENTS, "shop-canary"), "the canary")

    play("route-refused", story)


async def answer(shop: Shop, status: str, reason: str, message: str) -> None:
    """What a gateway's controller says of the route."""
    body = await shop.get(HTTPROUTES)
    assert body is not None
    conditions = [
        {"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": 100}
        | {"lastTransitionTime": "2026-01-31T12:00:00Z"}
        for kind in ("Accepted", "ResolvedRefs")
    ]
    parent = {"parentRef": {"name": "public"}, "controllerName": "test/none", "conditions": conditions}
    await shop.patch(HTTPROUTES, {"status": {"parents": [parent]}}, subresource="status")
