"""One API server with controllers but no nodes, the operator with exactly its rights, and all mistakes made at once."""

import asyncio
from collections.abc import Iterator

import pytest

from integration.canary.cases import CASES
from integration.canary.ground import Ground, ground
from integration.canary.stories import Told, World, tell_all
from integration.core.processes import Process
from integration.core.server import until
from support.client import connected
from support.fake_prometheus import FakePrometheus
from support.nodeless import NodelessPods


@pytest.fixture(scope="package")
def with_controllers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Controllers make ReplicaSets and pods."""
    yield from ground(tmp_path_factory.mktemp("controllers"), controllers=True)


@pytest.fixture(scope="package")
def operator(with_controllers: Ground) -> Process:
    """The operator, ready."""
    process = with_controllers.operator()
    asyncio.run(until(process.ready_leader))
    return process


@pytest.fixture(scope="package")
def prometheus() -> Iterator[FakePrometheus]:
    """The stand-in for Prometheus."""
    with FakePrometheus() as server:
        yield server


@pytest.fixture(scope="package")
def pods(with_controllers: Ground) -> Iterator[NodelessPods]:
    """Pods get ready."""
    with NodelessPods(with_controllers.api.kubeconfig) as running:
        yield running


@pytest.fixture(scope="package")
def world(with_controllers: Ground, operator: Process, prometheus: FakePrometheus, pods: NodelessPods) -> World:
    """All cases, made, looked at and repaired."""

    async def tell() -> World:
        async with connected(with_controllers.api.kubeconfig) as kube:
            return await tell_all(CASES, kube, prometheus, with_controllers.audit, operator)

    return asyncio.run(tell())


@pytest.fixture
def told(world: World, request: pytest.FixtureRequest) -> Told:
    """One case; the parameter is its place."""
    found: Told = world.told[request.param]
    if found.error is not None:
        raise found.error
    return found
