"""One API server with controllers but no nodes, the operator with exactly its rights, and all mistakes made at once."""

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from cluster.apiserver import ApiServer, available
from integration.canary.cases import CASES
from integration.canary.stories import Told, World, tell_all
from integration.core.processes import REAL, ROOT, Process, start
from integration.core.server import OPERATOR, until
from support.audit import AuditLog
from support.client import connected
from support.fake_prometheus import FakePrometheus
from support.nodeless import NodelessPods

GROUPS = ("system:serviceaccounts", "system:serviceaccounts:chaffinch-system", "system:authenticated")


@dataclass(slots=True)
class Ground:
    """A server on which Chaffinch is installed but for the operator's Deployment."""

    api: ApiServer
    audit: AuditLog
    folder: Path
    started: list[Process] = field(default_factory=list)

    def kubectl(self, *arguments: str | Path, text: str = "") -> str:
        """Run kubectl as administrator."""
        command = [self.api.kubectl, "--kubeconfig", self.api.kubeconfig, *arguments]
        return subprocess.run(command, input=text, text=True, check=True, capture_output=True, timeout=60).stdout

    def install(self) -> None:
        """CRDs, namespace, account, rights."""
        self.kubectl("apply", "--server-side", "-k", ROOT / "crds")
        self.kubectl("wait", "--for=condition=Established", "crd/canaryrollouts.chaffinch.dev", "--timeout=30s")
        objects = yaml.safe_load_all(self.kubectl("kustomize", ROOT / "manifests/base"))
        self.kubectl(
            "apply",
            "--server-side",
            "-f",
            "-",
            text=yaml.safe_dump_all(o for o in objects if o["kind"] not in {"Deployment", "Service"}),
        )

    def operator(self, identity: str = "a") -> Process:
        """Start the operator."""
        kubeconfig = self.api.kubeconfig_for(OPERATOR, GROUPS)
        process = start(REAL, identity, kubeconfig, self.folder, {"POD_NAMESPACE": "chaffinch-system"})
        self.started.append(process)
        return process

    def stop(self) -> None:
        """End what was started."""
        for process in self.started:
            process.popen.kill()
            process.popen.wait(10)


def ground(folder: Path, *flags: str, controllers: bool) -> Iterator[Ground]:
    """An API server of our own with an audit log."""
    if not available():
        pytest.skip("no etcd and kube-apiserver: make cluster-build")
    audit = AuditLog(folder)
    with ApiServer(with_controller_manager=controllers, flags=(*audit.flags, *flags)) as api:
        made = Ground(api, audit, folder)
        made.install()
        try:
            yield made
        finally:
            made.stop()


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
