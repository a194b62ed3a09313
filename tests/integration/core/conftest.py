"""A client, a namespace of its own for every test, and the hold."""

import asyncio
import itertools
from collections.abc import AsyncIterator

import pytest

from chaffinch_operator.canary.hold_keeper import HoldKeeper, HoldState
from chaffinch_operator.errors import ChaffinchError
from chaffinch_operator.kube import CANARYROLLOUTS, DEPLOYMENTS, NAMESPACES, Kube
from chaffinch_operator.settings import Settings
from cluster.apiserver import ApiServer
from integration.core.server import OPERATOR, Kubectl, deployment, in_namespace, rollout, until

SETTLE_SECONDS = 60.0
"""A new CRD and new policies take a second to be in force; on a busy machine, several."""

_numbers = itertools.count()


@pytest.fixture
async def kube(api_with_crd: ApiServer) -> AsyncIterator[Kube]:
    """The administrator's client."""
    async with Kube.connect(api_with_crd.kubeconfig) as it:
        yield it


@pytest.fixture
async def namespace(kube: Kube) -> str:
    """A new namespace."""
    name = f"shop-{next(_numbers)}"
    await kube.create(NAMESPACES, {"metadata": {"name": name}})
    return name


@pytest.fixture
def kubectl(api_with_crd: ApiServer, namespace: str) -> Kubectl:
    """A user who may do everything."""
    return Kubectl(api_with_crd.kubectl, api_with_crd.kubeconfig, namespace)


@pytest.fixture
def as_operator(api_with_crd: ApiServer, namespace: str) -> Kubectl:
    """The operator's account."""
    return Kubectl(api_with_crd.kubectl, api_with_crd.kubeconfig_for(OPERATOR, ["system:masters"]), namespace)


@pytest.fixture(scope="session")
def hold_installed(api_with_crd: ApiServer) -> HoldState:
    """The hold, installed by its keeper and in force."""

    async def install() -> HoldState:
        async with Kube.connect(api_with_crd.kubeconfig) as kube:
            keeper = HoldKeeper(kube, Settings())

            async def installed() -> bool:
                return (await keeper.ensure()).installed

            await until(installed, SETTLE_SECONDS)
            await kube.create(NAMESPACES, {"metadata": {"name": "probe", "labels": {"chaffinch.dev/hold": "enabled"}}})
            changed = in_namespace(deployment(version="2"), "probe")

            async def held() -> bool:
                try:
                    await kube.apply(CANARYROLLOUTS, in_namespace(rollout(), "probe"))
                    answer = await kube.apply(DEPLOYMENTS, changed, dry_run=True)
                except ChaffinchError:
                    return False  # for a moment after the CRD and the policies are new
                return bool(answer["spec"].get("paused"))

            await kube.apply(DEPLOYMENTS, in_namespace(deployment(), "probe"))
            await until(held, SETTLE_SECONDS)
            return keeper.state

    return asyncio.run(install())


@pytest.fixture
async def held(kube: Kube, namespace: str, hold_installed: HoldState) -> str:
    """A namespace with the hold, a Deployment and Service `web`, and their CanaryRollout."""
    assert hold_installed.installed
    await HoldKeeper(kube, Settings()).label_namespace(namespace)
    return namespace
