"""A dedicated baseline on a real API server with real controllers: what it is made of, and whose pods they are."""

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from chaffinch_operator.canary.reasons import Action, Reason
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.kube import CANARYROLLOUTS, DEPLOYMENTS, REPLICASETS, SERVICES
from integration.canary.cases import pods_start
from integration.canary.ground import Ground
from integration.canary.world import NAME, Object, Shop, deployment, rollout, service, until
from integration.core.processes import Process
from support import fake_prometheus as prom
from support.client import connected
from support.fake_prometheus import FakePrometheus
from support.nodeless import READINESS, NodelessPods

pytestmark = pytest.mark.apiserver
Play = Callable[[str, Callable[[Shop], Awaitable[None]]], None]
BASELINE, CANARY = f"{NAME}-baseline", f"{NAME}-canary"
DEDICATED = {"baseline": "Dedicated"}


@pytest.fixture
def play(with_controllers: Ground, operator: Process, prometheus: FakePrometheus, pods: NodelessPods) -> Play:
    """Play a story in a namespace of its own."""

    def run(namespace: str, story: Callable[[Shop], Awaitable[None]]) -> None:
        async def whole() -> None:
            async with connected(with_controllers.api.kubeconfig) as kube:
                shop = Shop(kube, prometheus, namespace)
                await shop.open()
                await story(shop)

        asyncio.run(whole())

    return run


async def open_shop(shop: Shop, first: Object, **spec: Any) -> None:
    """A shop at rest whose candidates get a baseline."""
    shop.prometheus.answer(shop.namespace, prom.EMPTY)
    await shop.apply(DEPLOYMENTS, first)
    await shop.apply(SERVICES, service())
    if READINESS in first["spec"]["template"]["metadata"]["labels"]:
        await until(lambda: shop.kube.list(REPLICASETS, shop.namespace), "a ReplicaSet")
        await until(lambda: started(shop), "stable's pods")
    await shop.settled()
    await shop.apply(CANARYROLLOUTS, rollout(shop.address, canary=DEDICATED, **spec))
    await shop.reported()


async def started(shop: Shop) -> bool:
    """Let stable's pods get ready; those that are made later do not."""
    await pods_start(shop)
    status = (await shop.get(DEPLOYMENTS) or {}).get("status") or {}
    return bool(status.get("availableReplicas") == status.get("replicas") == 2)


async def image(shop: Shop, name: str) -> str:
    """What a Deployment runs; empty when there is none."""
    body = await shop.get(DEPLOYMENTS, name)
    return str(body["spec"]["template"]["spec"]["containers"][0]["image"]) if body else ""


async def hashes(shop: Shop) -> dict[str, str]:
    """The pod-template-hash that the controllers gave each Deployment's pods."""
    found = await shop.kube.list(REPLICASETS, shop.namespace)
    return {r["metadata"]["ownerReferences"][0]["name"]: r["metadata"]["labels"]["pod-template-hash"] for r in found}


async def nothing_left(shop: Shop) -> bool:
    """Neither canary nor baseline, nor a Service of theirs."""
    found = [await shop.get(resource, name) for resource in (DEPLOYMENTS, SERVICES) for name in (BASELINE, CANARY)]
    return not any(found)


def test_the_baseline_is_stables_template_in_pods_of_its_own(play: Play) -> None:
    """It runs what runs, not what is held, under another pod-template-hash; only its own requests are compared."""

    async def story(shop: Shop) -> None:
        await open_shop(shop, deployment())
        await shop.release()
        status = await shop.wait(lambda s: s.weight.desired > 0, "the first weight")
        assert status.baseline == "Dedicated"
        assert (await image(shop, BASELINE), await image(shop, CANARY)) == ("shop:v1", "shop:v2")
        assert len(set((await hashes(shop)).values())) == 3
        stable = await shop.replica_set_of("v1")
        rates = {f"{stable}-x": 2000, f"{CANARY}-x": 100, f"{BASELINE}-x": 100}
        shop.prometheus.answer(shop.namespace, prom.growing(rates, time.time()))
        status = await shop.wait(compared, "requests of both arms")
        assert abs(status.gates[0].baseline.total - status.gates[0].canary.total) <= 100
        assert ", baseline " in status.gates[0].message
        await shop.apply(DEPLOYMENTS, deployment())
        await until(lambda: nothing_left(shop), "the end of both after a revert")
        await shop.wait(lambda s: s.last_decision.action is Action.IDLE and not s.baseline, "rest")

    def compared(status: CanaryRolloutStatus) -> bool:
        return bool(status.gates) and status.gates[0].baseline.total > 500

    play("baseline-of-its-own", story)


def test_a_baseline_that_does_not_start_is_not_called_a_bad_candidate(play: Play) -> None:
    """The rollout is stalled with a reason that names the baseline, nothing is rejected, and it goes on once it can."""
    first, second = deployment(labels={READINESS: "never"}), copy.deepcopy(deployment("v2"))

    async def story(shop: Shop) -> None:
        await open_shop(shop, first, progressDeadlineSeconds=5)
        await until(lambda: held(shop, second), "the hold")
        await shop.apply(DEPLOYMENTS, second)
        status = await shop.wait(lambda s: s.last_decision.reason is Reason.BASELINE_NOT_AVAILABLE, "the late baseline")
        assert status.last_decision.action is Action.START
        assert f"describe deployment {BASELINE}" in status.last_decision.message
        assert {c.type: c.status for c in status.conditions}["Stalled"] == "True"
        assert (status.rejected_revisions, status.weight.desired) == ([], 0)
        await pods_start(shop)
        await shop.wait(lambda s: s.weight.desired > 0, "the first weight")

    play("baseline-late", story)


async def held(shop: Shop, body: Object) -> bool:
    """Whether the API server would hold this template: it knows a new CanaryRollout after a moment."""
    answer = await shop.apply(DEPLOYMENTS, body, dry_run=True)
    return bool(answer["spec"].get("paused"))
