"""A cluster whose API server cannot hold templates: nothing is started, and everybody is told."""

import asyncio
from collections.abc import Iterator

import pytest

from chaffinch_operator.canary.reasons import Reason
from chaffinch_operator.canary.status import CanaryRolloutStatus
from chaffinch_operator.kube import CANARYROLLOUTS, DEPLOYMENTS, MUTATING_POLICIES, SERVICES, VALIDATING_POLICIES
from integration.canary.ground import Ground, ground
from integration.canary.world import Shop, deployment, rollout, service, until
from integration.core.processes import Process
from integration.core.server import OPERATOR
from support.client import connected
from support.fake_prometheus import FakePrometheus

pytestmark = pytest.mark.apiserver
KIND = "admissionregistration.k8s.io/v1/mutatingadmissionpolicies"
WITHOUT = f"--runtime-config={KIND}=false,{KIND.replace('policies', 'policybindings')}=false"


@pytest.fixture(scope="module")
def old(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """An API server that does not serve MutatingAdmissionPolicy."""
    flags = (WITHOUT, "--feature-gates=MutatingAdmissionPolicy=false")
    yield from ground(tmp_path_factory.mktemp("old"), *flags, controllers=False)


@pytest.fixture(scope="module")
def process(old: Ground) -> Process:
    """The operator there."""
    return old.operator()


@pytest.fixture(scope="module")
def seen(old: Ground, process: Process, prometheus: FakePrometheus) -> CanaryRolloutStatus:
    """What it says of a CanaryRollout whose target changes."""

    async def story() -> CanaryRolloutStatus:
        async with connected(old.api.kubeconfig) as kube:
            assert not await kube.serves(MUTATING_POLICIES)
            shop = Shop(kube, prometheus, "old")
            await shop.open()
            await shop.apply(DEPLOYMENTS, deployment())
            await shop.apply(SERVICES, service())
            await shop.apply(CANARYROLLOUTS, rollout(shop.address))
            status = await shop.wait(
                lambda s: any(c.reason == Reason.HOLD_NOT_INSTALLED and "1.36" in c.message for c in s.conditions),
                "the missing hold",
            )
            await shop.apply(DEPLOYMENTS, deployment("v2"))
            assert await shop.get(DEPLOYMENTS, "shop-canary") is None
            assert await kube.list(VALIDATING_POLICIES) == []
            return status

    return asyncio.run(story())


def test_condition_says_what_is_missing(seen: CanaryRolloutStatus) -> None:
    """HoldInstalled is False, and its message names the version of Kubernetes that has it."""
    condition = next(c for c in seen.conditions if c.type == "HoldInstalled")
    assert (condition.status, condition.reason) == ("False", Reason.HOLD_NOT_INSTALLED)
    assert "the hold needs Kubernetes 1.36 or newer" in condition.message


def test_operator_is_alive_but_not_ready(seen: CanaryRolloutStatus, process: Process) -> None:
    """Restarting would not help, so /healthz is well; /readyz says what is missing."""

    async def told() -> bool:
        return "hold: the API server does not serve" in process.get("/readyz")[1]

    asyncio.run(until(told, "/readyz"))
    assert process.get("/healthz") == (200, "leader: ok\n")
    assert process.popen.poll() is None


def test_nothing_of_ours_is_made(seen: CanaryRolloutStatus, old: Ground) -> None:
    """The operator writes a status, an event, its finalizer and the namespace's label, and nothing of a rollout."""
    kinds = {w.split()[1] for w in old.audit.writes(OPERATOR)}
    assert kinds <= {"canaryrollouts", "canaryrollouts/status", "events", "namespaces"}
