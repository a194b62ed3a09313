"""Every case from the mistake to its repair, all at once, with a stretch in between in which nothing may happen."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.kube import CANARYROLLOUTS, DEPLOYMENTS, EVENTS, SERVICES, Kube
from integration.canary.cases import PROCEEDS, Case
from integration.canary.world import Object, Shop
from integration.core.processes import Process
from integration.core.server import OPERATOR
from support.audit import AuditLog, Request
from support.fake_prometheus import FakePrometheus

QUIET_SECONDS = 12.0
"""Longer than the pause between two looks of a rollout that waits."""


@dataclass(slots=True)
class Told:
    """What was seen of one case."""

    case: Case
    shop: Shop
    status: CanaryRolloutStatus = field(default_factory=CanaryRolloutStatus)
    deployment: Object | None = None
    revisions: int = 0
    children: list[Object] = field(default_factory=list)
    """Objects of the canary's name."""
    repaired: CanaryRolloutStatus | None = None
    events: list[Object] = field(default_factory=list)
    error: BaseException | None = None


@dataclass(slots=True)
class World:
    """What was seen of all."""

    told: list[Told]
    seconds: float = 0.0
    """Length of the quiet stretch."""
    writes: dict[str, Counter[str]] = field(default_factory=dict)
    """The operator's writes in it by namespace, as the API server's audit log has them."""
    passes: float = 0.0
    """Passes of the reconcile loop in it."""


async def tell_all(
    cases: Sequence[Case], kube: Kube, prometheus: FakePrometheus, audit: AuditLog, operator: Process
) -> World:
    """All cases at once: the mistakes, the stretch, the repairs."""
    world = World([Told(case, Shop(kube, prometheus, f"bad-{number}")) for number, case in enumerate(cases)])
    await asyncio.gather(*(_guarded(told, _mistake) for told in world.told))
    await _quiet(world, audit, operator)
    await asyncio.gather(*(_guarded(told, _repair) for told in world.told))
    return world


async def _guarded(told: Told, part: Callable[[Told], Awaitable[None]]) -> None:
    """A case that fails does not spoil the others."""
    if told.error is None:
        try:
            await part(told)
        except Exception as error:  # noqa: BLE001 - raised by the test of this case
            told.error = error


async def _mistake(told: Told) -> None:
    case, shop = told.case, told.shop
    await shop.open()
    shop.prometheus.answer(shop.namespace, case.answer)
    for resource, obj in case.make(shop):
        await shop.apply(resource, obj)
    if case.settles:
        await shop.settled()
    for rollout in case.rollouts(shop):
        await shop.apply(CANARYROLLOUTS, rollout)
        await shop.wait(lambda _: True, "a first word", rollout["metadata"]["name"])
    if case.releases:
        await shop.release()
    if case.later is not None:
        await shop.wait(lambda s: bool(s.analysis_started_at), "the first weight")
        shop.prometheus.answer(shop.namespace, case.later)
    told.status = await shop.wait(
        lambda s: s.conditions[0].reason == case.reason and case.says[-1] in s.conditions[0].message,
        f"{case.reason} that says {case.says[-1]}",
    )
    told.deployment, told.revisions = await shop.get(DEPLOYMENTS), await shop.revisions()
    found = [await shop.get(resource, "shop-canary") for resource in (DEPLOYMENTS, SERVICES)]
    told.children = [child for child in found if child is not None]


async def _quiet(world: World, audit: AuditLog, operator: Process) -> None:
    """Count what the operator does while nothing happens."""
    position, passes, started = audit.position(), _passes(operator), time.monotonic()
    await asyncio.sleep(QUIET_SECONDS)  # what is measured is this stretch of time
    world.seconds, world.passes = time.monotonic() - started, _passes(operator) - passes
    world.writes = {t.shop.namespace: audit.writes(OPERATOR, position, of=_in(t.shop.namespace)) for t in world.told}


def _in(namespace: str) -> Callable[[Request], bool]:
    return lambda request: request.namespace == namespace


def _passes(operator: Process) -> float:
    counts = re.findall(r"^chaffinch_reconcile_total\{.*\} ([\d.e+]+)$", operator.get("/metrics")[1], re.MULTILINE)
    return sum(map(float, counts))


async def _repair(told: Told) -> None:
    case, shop = told.case, told.shop
    await case.repair(shop)
    if case.after == PROCEEDS:
        told.repaired = await shop.wait(lambda s: s.step.index == 1 and s.weight.desired == 50, "the next step")
    else:
        told.repaired = await shop.wait(
            lambda s: s.last_decision.action in case.after and s.conditions[0].reason != case.reason, "the way out"
        )
    told.events = await shop.kube.list(EVENTS, shop.namespace)
